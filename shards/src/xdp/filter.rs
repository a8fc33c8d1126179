//! The program at the device: which frames are for open media ports of the shard that has their queue.
//!
//! It is eBPF, assembled here; the kernel verifies and compiles it. Instruction set: RFC 9669.

use super::LONGEST;
use super::frame::{ADDRESS, FRAGMENT, HEADERS, PORT, PROTOCOL, TYPE, VERSION};
use std::net::Ipv4Addr;

/// One instruction, laid out as `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// RFC 9669 sections 4 and 5: class, source and operation in one octet.
const LOAD_U8: u8 = 0x71;
const LOAD_U16: u8 = 0x69;
const LOAD_U32: u8 = 0x61;
const STORE_U64: u8 = 0x7b;
const STORE_U32: u8 = 0x63;
const LOAD_MAP: u8 = 0x18;
const MOVE: u8 = 0xb7;
const MOVE_REGISTER: u8 = 0xbf;
const ADD: u8 = 0x07;
const AND: u8 = 0x57;
const OR_REGISTER: u8 = 0x4f;
const TO_BIG_ENDIAN: u8 = 0xdc;
const JUMP: u8 = 0x05;
const IF_NOT_EQUAL: u8 = 0x55;
const IF_NOT_EQUAL_REGISTER: u8 = 0x5d;
const IF_NOT_EQUAL_32: u8 = 0x56;
const IF_EQUAL: u8 = 0x15;
const IF_GREATER_REGISTER: u8 = 0x2d;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
/// The source register of LOAD_MAP: the immediate is a map's descriptor.
const MAP_DESCRIPTOR: u8 = 1;

// linux/bpf.h.
const MAP_LOOKUP_ELEM: i32 = 1;
const KTIME_GET_NS: i32 = 5;
const REDIRECT_MAP: i32 = 51;
const XDP_ADJUST_META: i32 = 54;
const XDP_PASS: i32 = 2;
/// Offsets in `struct xdp_md`.
const DATA: i16 = 0;
const DATA_END: i16 = 4;
const DATA_META: i16 = 8;
const QUEUE: i16 = 16;

/// Where on the stack the key for the map of ports is.
const KEY: i16 = -4;

/// The octets that the program writes before a frame: when it came, in nanoseconds of the
/// monotonic clock.
pub(super) const STAMP: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Pass,
    Ours,
    Next(usize),
}

#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    waiting: Vec<(usize, Label)>,
}

impl Assembler {
    fn put(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        // `dst_reg` is declared first of two bit fields.
        let registers = if cfg!(target_endian = "little") {
            from << 4 | to
        } else {
            to << 4 | from
        };
        self.code.push(Instruction {
            code,
            registers,
            offset,
            immediate,
        });
    }

    fn load(&mut self, code: u8, to: u8, base: u8, offset: i16) {
        self.put(code, to, base, offset, 0);
    }

    fn map(&mut self, to: u8, descriptor: i32) {
        self.put(LOAD_MAP, to, MAP_DESCRIPTOR, 0, descriptor);
        self.put(0, 0, 0, 0, 0);
    }

    fn copy(&mut self, to: u8, from: u8) {
        self.put(MOVE_REGISTER, to, from, 0, 0);
    }

    fn constant(&mut self, code: u8, to: u8, value: i32) {
        self.put(code, to, 0, 0, value);
    }

    fn jump_if(&mut self, code: u8, register: u8, other: u8, value: i32, to: Label) {
        self.waiting.push((self.code.len(), to));
        self.put(code, register, other, 0, value);
    }

    fn place(&mut self, label: Label) {
        let here = self.code.len();
        let code = &mut self.code;
        self.waiting.retain(|&(from, to)| {
            if to == label {
                code[from].offset = (here - from - 1) as i16;
            }
            to != label
        });
    }
}

/// Offsets in a frame, as the instructions want them.
const fn at(offset: usize) -> i16 {
    offset as i16
}

/// The place of a port in the map of ports: its address's number and the port.
pub(super) fn place(address: usize, port: u16) -> u32 {
    (address as u32) << 16 | u32::from(port)
}

/// The program for media at these addresses, by their numbers. `ports` has at each [`place`] the queue of the
/// shard whose port it is and one more, or 0; `sockets` each queue's socket.
pub(super) fn program(addresses: &[(usize, Ipv4Addr)], ports: i32, sockets: i32) -> Vec<Instruction> {
    let mut a = Assembler::default();
    let pass = Label::Pass;
    // 6: the frame, 7: its end, 8: the place of its port and later its queue, 9: the context, 10: the stack.
    a.copy(9, 1);
    a.load(LOAD_U32, 6, 1, DATA);
    a.load(LOAD_U32, 7, 1, DATA_END);
    a.copy(2, 6);
    a.constant(ADD, 2, HEADERS as i32);
    a.jump_if(IF_GREATER_REGISTER, 2, 7, 0, pass);
    // Longer than a frame's room.
    a.copy(2, 6);
    a.constant(ADD, 2, LONGEST as i32);
    a.jump_if(IF_GREATER_REGISTER, 7, 2, 0, pass);
    a.load(LOAD_U16, 2, 6, at(TYPE));
    a.jump_if(IF_NOT_EQUAL, 2, 0, i32::from(0x0800_u16.to_be()), pass);
    // Version 4, no options.
    a.load(LOAD_U8, 2, 6, at(VERSION));
    a.jump_if(IF_NOT_EQUAL, 2, 0, 0x45, pass);
    a.load(LOAD_U16, 2, 6, at(FRAGMENT));
    a.constant(AND, 2, i32::from(0x3fff_u16.to_be()));
    a.jump_if(IF_NOT_EQUAL, 2, 0, 0, pass);
    a.load(LOAD_U8, 2, 6, at(PROTOCOL));
    a.jump_if(IF_NOT_EQUAL, 2, 0, libc::IPPROTO_UDP, pass);
    a.load(LOAD_U32, 2, 6, at(ADDRESS));
    for &(number, address) in addresses {
        let value = u32::from_ne_bytes(address.octets());
        a.jump_if(IF_NOT_EQUAL_32, 2, 0, value as i32, Label::Next(number));
        a.constant(MOVE, 8, place(number, 0) as i32);
        a.jump_if(JUMP, 0, 0, 0, Label::Ours);
        a.place(Label::Next(number));
    }
    a.jump_if(JUMP, 0, 0, 0, pass);
    a.place(Label::Ours);
    a.load(LOAD_U16, 2, 6, at(PORT));
    a.constant(TO_BIG_ENDIAN, 2, 16);
    a.put(OR_REGISTER, 8, 2, 0, 0);
    a.put(STORE_U32, 10, 8, KEY, 0);
    a.map(1, ports);
    a.copy(2, 10);
    a.constant(ADD, 2, i32::from(KEY));
    a.constant(CALL, 0, MAP_LOOKUP_ELEM);
    a.jump_if(IF_EQUAL, 0, 0, 0, pass);
    a.load(LOAD_U32, 8, 0, 0);
    a.jump_if(IF_EQUAL, 8, 0, 0, pass);
    // A socket gets frames of its own queue only.
    a.constant(ADD, 8, -1);
    a.load(LOAD_U32, 2, 9, QUEUE);
    a.jump_if(IF_NOT_EQUAL_REGISTER, 8, 2, 0, pass);
    a.copy(1, 9);
    a.constant(MOVE, 2, -(STAMP as i32));
    a.constant(CALL, 0, XDP_ADJUST_META);
    a.jump_if(IF_NOT_EQUAL, 0, 0, 0, pass);
    a.constant(CALL, 0, KTIME_GET_NS);
    a.load(LOAD_U32, 1, 9, DATA_META);
    a.load(LOAD_U32, 2, 9, DATA);
    a.copy(3, 1);
    a.constant(ADD, 3, STAMP as i32);
    a.jump_if(IF_GREATER_REGISTER, 3, 2, 0, pass);
    a.put(STORE_U64, 1, 0, 0, 0);
    a.map(1, sockets);
    a.copy(2, 8);
    // Where no socket is in the map (any more): the usual way.
    a.constant(MOVE, 3, XDP_PASS);
    a.constant(CALL, 0, REDIRECT_MAP);
    a.constant(EXIT, 0, 0);
    a.place(pass);
    a.constant(MOVE, 0, XDP_PASS);
    a.constant(EXIT, 0, 0);
    debug_assert!(a.waiting.is_empty(), "each label is placed");
    a.code
}

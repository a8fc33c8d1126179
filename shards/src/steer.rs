//! Steering: a small program that the kernel runs over each datagram of a SO_REUSEPORT group, which
//! names the shard that gets it. Without one the kernel spreads datagrams by their pair of addresses.
//!
//! It is a classic BPF program (`SO_ATTACH_REUSEPORT_CBPF`, socket(7)), which needs no privilege; the
//! kernel compiles it. It has no loops: what has to be looked for is written out position by position,
//! hence the assembler. Being wrong costs a hop over the mesh and nothing else.

use std::fmt;

/// The answer that names no shard: the kernel then spreads by addresses.
pub const NOBODY: u32 = u32::MAX;

/// Most instructions of a program (`BPF_MAXINSNS`).
pub const MOST: usize = 4096;

/// One instruction, laid out as `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u16,
    /// How many instructions are skipped when the condition holds.
    yes: u8,
    /// How many when it does not.
    no: u8,
    k: u32,
}

// linux/bpf_common.h. The kernel loads big-endian words, halves and octets into A.
const LOAD_WORD: u16 = 0x20;
const LOAD_LEN: u16 = 0x80;
const LOAD_WORD_AT_X: u16 = 0x40;
const LOAD_HALF_AT_X: u16 = 0x48;
const LOAD_OCTET_AT_X: u16 = 0x50;
const LOAD_KEPT: u16 = 0x60;
const X_CONSTANT: u16 = 0x01;
const X_KEPT: u16 = 0x61;
const KEEP: u16 = 0x02;
const KEEP_X: u16 = 0x03;
const ADD: u16 = 0x04;
const SUBTRACT: u16 = 0x14;
const SUBTRACT_X: u16 = 0x1c;
const MULTIPLY: u16 = 0x24;
const AND: u16 = 0x54;
const SHIFT_LEFT: u16 = 0x64;
const SHIFT_RIGHT: u16 = 0x74;
const REMAINDER: u16 = 0x94;
const XOR_X: u16 = 0xac;
const OR_X: u16 = 0x4c;
const JUMP: u16 = 0x05;
const IF_EQUAL: u16 = 0x15;
const IF_GREATER: u16 = 0x25;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const RETURN_A: u16 = 0x16;
const A_TO_X: u16 = 0x07;
const X_TO_A: u16 = 0x87;

/// A place in a program that is jumped to from before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// A condition over A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum If {
    /// A equals it.
    Equal(u32),
    /// A is greater.
    Greater(u32),
    /// A is as great or greater.
    AtLeast(u32),
}

/// Writes a program. A is the accumulator, X the index register; there are 16 kept words.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    /// Jumps whose distance is known when their label is placed.
    waiting: Vec<(usize, Label)>,
    labels: usize,
}

macro_rules! simple {
    ($($(#[$doc:meta])* $name:ident => $code:expr;)*) => {
        $($(#[$doc])* pub fn $name(&mut self) -> &mut Self { self.push($code, 0, 0, 0) })*
    };
}
macro_rules! with_constant {
    ($($(#[$doc:meta])* $name:ident => $code:expr;)*) => {
        $($(#[$doc])* pub fn $name(&mut self, k: u32) -> &mut Self { self.push($code, 0, 0, k) })*
    };
}

impl Assembler {
    simple! {
        /// A = length of the datagram.
        length => LOAD_LEN;
        /// X = A.
        to_x => A_TO_X;
        /// A = X.
        from_x => X_TO_A;
        /// A = A − X.
        subtract_x => SUBTRACT_X;
        /// A = A xor X.
        xor_x => XOR_X;
        /// A = A or X.
        or_x => OR_X;
        /// A is the answer.
        answer => RETURN_A;
    }

    with_constant! {
        /// A = the four octets at a place. Past the datagram's end the answer is 0, here as for each load.
        word => LOAD_WORD;
        /// A = the four octets at X and so many more.
        word_at_x => LOAD_WORD_AT_X;
        /// A = the two octets at X and so many more.
        half_at_x => LOAD_HALF_AT_X;
        /// A = the octet at X and so many more.
        octet_at_x => LOAD_OCTET_AT_X;
        /// A = a kept word.
        load => LOAD_KEPT;
        /// X = a constant.
        set_x => X_CONSTANT;
        /// X = a kept word.
        load_x => X_KEPT;
        /// Keeps A.
        keep => KEEP;
        /// Keeps X.
        keep_x => KEEP_X;
        /// A = A + k.
        add => ADD;
        /// A = A − k.
        subtract => SUBTRACT;
        /// A = A · k.
        multiply => MULTIPLY;
        /// A = A and k.
        and => AND;
        /// A = A shifted left.
        shift_left => SHIFT_LEFT;
        /// A = A shifted right.
        shift_right => SHIFT_RIGHT;
        /// A = A modulo k; the kernel refuses 0.
        remainder => REMAINDER;
        /// The answer is a constant.
        answer_with => RETURN;
    }

    /// A program without instructions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Skips so many instructions when the condition holds, others when not.
    pub fn skip(&mut self, condition: If, yes: u8, no: u8) -> &mut Self {
        let (code, k) = match condition {
            If::Equal(k) => (IF_EQUAL, k),
            If::Greater(k) => (IF_GREATER, k),
            If::AtLeast(k) => (IF_AT_LEAST, k),
        };
        self.push(code, yes, no, k)
    }

    /// A label to be placed later.
    pub fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels)
    }

    /// Goes on at the label.
    pub fn jump(&mut self, to: Label) -> &mut Self {
        self.waiting.push((self.code.len(), to));
        self.push(JUMP, 0, 0, 0)
    }

    /// Goes on at the label when the condition holds.
    pub fn jump_if(&mut self, condition: If, to: Label) -> &mut Self {
        self.skip(condition, 0, 1).jump(to)
    }

    /// Goes on at the label when the condition does not hold.
    pub fn jump_unless(&mut self, condition: If, to: Label) -> &mut Self {
        self.skip(condition, 1, 0).jump(to)
    }

    /// The label is here.
    pub fn place(&mut self, label: Label) -> &mut Self {
        let here = self.code.len();
        let code = &mut self.code;
        self.waiting.retain(|&(from, to)| {
            if to == label
                && let Some(jump) = code.get_mut(from)
            {
                jump.k = u32::try_from(here - from - 1).unwrap_or(u32::MAX);
            }
            to != label
        });
        self
    }

    /// The program. `None` when it is longer than the kernel takes, or a label was never placed.
    #[must_use]
    pub fn finish(self) -> Option<Steering> {
        (self.waiting.is_empty() && (1..=MOST).contains(&self.code.len())).then_some(Steering { code: self.code })
    }

    fn push(&mut self, code: u16, yes: u8, no: u8, k: u32) -> &mut Self {
        self.code.push(Instruction { code, yes, no, k });
        self
    }
}

/// A finished program.
#[derive(Clone, PartialEq, Eq)]
pub struct Steering {
    code: Vec<Instruction>,
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Steering of {} instructions", self.code.len())
    }
}

impl Steering {
    pub(crate) fn code(&self) -> &[Instruction] {
        &self.code
    }

    /// What the kernel would answer; for tests.
    #[must_use]
    pub fn run(&self, octets: &[u8]) -> u32 {
        self.interpret(octets).unwrap_or(0)
    }

    fn interpret(&self, octets: &[u8]) -> Option<u32> {
        let (mut a, mut x, mut kept, mut next) = (0u32, 0u32, [0u32; 16], 0usize);
        let load = |at: u32, size: usize| {
            let at = at as usize;
            let slice = octets.get(at..at + size)?;
            Some(slice.iter().fold(0u32, |word, &octet| word << 8 | u32::from(octet)))
        };
        loop {
            let Instruction { code, yes, no, k } = *self.code.get(next)?;
            next += 1;
            let mut branch = |holds| next += usize::from(if holds { yes } else { no });
            match code {
                LOAD_WORD => a = load(k, 4)?,
                LOAD_LEN => a = octets.len() as u32,
                LOAD_WORD_AT_X => a = load(x.wrapping_add(k), 4)?,
                LOAD_HALF_AT_X => a = load(x.wrapping_add(k), 2)?,
                LOAD_OCTET_AT_X => a = load(x.wrapping_add(k), 1)?,
                LOAD_KEPT => a = *kept.get(k as usize)?,
                X_CONSTANT => x = k,
                X_KEPT => x = *kept.get(k as usize)?,
                KEEP => *kept.get_mut(k as usize)? = a,
                KEEP_X => *kept.get_mut(k as usize)? = x,
                ADD => a = a.wrapping_add(k),
                SUBTRACT => a = a.wrapping_sub(k),
                SUBTRACT_X => a = a.wrapping_sub(x),
                MULTIPLY => a = a.wrapping_mul(k),
                AND => a &= k,
                SHIFT_LEFT => a = a.wrapping_shl(k),
                SHIFT_RIGHT => a = a.wrapping_shr(k),
                REMAINDER => a = a.checked_rem(k)?,
                XOR_X => a ^= x,
                OR_X => a |= x,
                JUMP => next += k as usize,
                IF_EQUAL => branch(a == k),
                IF_GREATER => branch(a > k),
                IF_AT_LEAST => branch(a >= k),
                RETURN => return Some(k),
                RETURN_A => return Some(a),
                A_TO_X => x = a,
                X_TO_A => a = x,
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;
    use std::net::UdpSocket;
    use std::time::Duration;

    /// The shard is the datagram's first octet modulo 2, where that is a digit.
    fn by_digit() -> Steering {
        let mut program = Assembler::new();
        let nobody = program.label();
        program
            .length()
            .jump_unless(If::AtLeast(4), nobody)
            .set_x(0)
            .octet_at_x(0)
            .jump_unless(If::AtLeast(u32::from(b'0')), nobody)
            .jump_if(If::Greater(u32::from(b'9')), nobody)
            .remainder(2)
            .answer()
            .place(nobody)
            .answer_with(NOBODY);
        program.finish().unwrap()
    }

    #[test]
    fn interpreted() {
        let program = by_digit();
        assert_eq!(program.run(b"1abc"), 1);
        assert_eq!(program.run(b"2abc"), 0);
        assert_eq!(program.run(b"xabc"), NOBODY);
        assert_eq!(program.run(b"1"), NOBODY);
    }

    #[test]
    fn a_program_is_finished_only_when_it_fits() {
        assert!(Assembler::new().finish().is_none());
        let mut open = Assembler::new();
        let label = open.label();
        open.jump(label).answer();
        assert!(open.finish().is_none());
        let mut long = Assembler::new();
        for _ in 0..MOST {
            long.length();
        }
        long.answer();
        assert!(long.finish().is_none());
    }

    /// One sender's datagrams, which the kernel would all give to one socket, go where they say; what
    /// says nothing still arrives.
    #[test]
    fn the_kernel_runs_it() {
        let claim = sys::claim_address("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let address = sys::local_address(&claim).unwrap();
        drop(claim);
        let group = [(), ()].map(|()| sys::datagram_listener(address, false).unwrap());
        sys::steer(&group[0], &by_digit()).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let texts: Vec<String> = (0..40).map(|number| format!("{} is my number", number % 10)).collect();
        for text in &texts {
            sender.send_to(text.as_bytes(), address).unwrap();
        }
        sender.send_to(b"no number at all", address).unwrap();
        let mut others = 0;
        for (index, socket) in group.into_iter().enumerate() {
            let socket = UdpSocket::from(socket);
            socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let mut octets = [0; 64];
            let mut got = Vec::new();
            while let Ok(len) = socket.recv(&mut octets) {
                got.push(String::from_utf8(octets[..len].to_vec()).unwrap());
            }
            let due: Vec<_> = texts
                .iter()
                .filter(|text| usize::from(text.as_bytes()[0] - b'0') % 2 == index)
                .cloned()
                .collect();
            others += got.len() - due.len();
            got.retain(|text| text != "no number at all");
            assert_eq!(got, due, "shard {index}");
        }
        assert_eq!(others, 1);
    }
}

//! The kernel's part of the home rule, compiled for one process: finds the Call-ID of a message, or of
//! a REGISTER the user in To, and hashes it as [`Spread::home`] does.
//!
//! It reads what phones commonly send (`Call-ID:` and `To:` in this spelling, each on one line) and
//! leaves the rest to the kernel's own spreading: the shard that gets such a message looks properly.

use super::{COUNTED, LAST, Spread};
use crate::switch::site::MINTED;
use shards::Steering;
use shards::steer::{Assembler, If, Label, NOBODY};

/// How far Call-ID is looked for, in octets. Past it are bodies.
const CALL_ID_WITHIN: u32 = 1104;
/// How far To is looked for.
const TO_WITHIN: u32 = 464;
/// How often the scan looks at the datagram's length, in octets.
const BLOCK: u32 = 64;
/// Where the scan begins: the shortest start line and its end.
const FIRST: u32 = 16;
/// What may be read past a place that the scan looks at: the rest of a name, a display name, a hash.
const AFTER: u32 = 4 + 10 + COUNTED as u32 + 2;
/// How long a display name may be.
const DISPLAY: u32 = 24;

/// Kept words: the hash, the pointer, and what is put together.
const HASH: u32 = 0;
const AT: u32 = 1;
const PART: u32 = 2;

/// Four octets of a header's name, and how far they lie from the line feed before it.
type Window = (&'static [u8; 4], i32);

/// The program for so many shards. `None` with one shard, where there is nothing to choose.
#[must_use]
pub fn compile(spread: Spread, shards: usize) -> Option<Steering> {
    let shards = u32::try_from(shards).ok().filter(|&shards| shards > 1)?;
    let mut program = Assembler::new();
    let (register, done, nobody) = (program.label(), program.label(), program.label());
    program
        .length()
        .jump_unless(If::AtLeast(FIRST + BLOCK), nobody)
        .word(0)
        .jump_if(If::Equal(word(b"REGI")), register);
    find_call_id(&mut program, nobody);
    minted(&mut program);
    hash(&mut program, spread, |program| {
        program.jump_unless(If::Greater(SPACE), done);
    });
    program.jump(done).place(register);
    find_user(&mut program, nobody);
    hash(&mut program, spread, |program| {
        program.jump_if(If::Equal(u32::from(b'@')), done);
        // Escapes, passwords, URIs without a user: not for here.
        program.jump_unless(If::Greater(SPACE), nobody);
        for strange in b"%:>" {
            program.jump_if(If::Equal(u32::from(*strange)), nobody);
        }
    });
    // The end of Spread::home.
    program
        .place(done)
        .load(HASH)
        .to_x()
        .shift_right(15)
        .xor_x()
        .multiply(LAST)
        .to_x()
        .shift_right(16)
        .xor_x()
        .remainder(shards)
        .answer()
        .place(nobody)
        .answer_with(NOBODY);
    program.finish()
}

const SPACE: u32 = b' ' as u32;

/// Four octets as the kernel loads them.
fn word(text: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*text)
}

fn half(text: &[u8; 2]) -> u32 {
    u32::from(u16::from_be_bytes(*text))
}

/// Looks at every fourth place for one of `windows`, whose distances have every remainder of 4, so that one
/// of them lies where we look. Goes on with X at the line feed.
fn scan(program: &mut Assembler, within: u32, windows: &[Window], nobody: Label) {
    let (hit, found) = (program.label(), program.label());
    for place in (FIRST..within).step_by(4) {
        if place % BLOCK == FIRST {
            program
                .length()
                .skip(If::AtLeast(place + BLOCK + AFTER), 1, 0)
                .answer_with(NOBODY);
        }
        program.word(place);
        for (window, left) in windows.iter().zip((0..windows.len() as u8).rev()) {
            // A hit skips the other windows, the last miss skips the jump.
            program.skip(If::Equal(word(window.0)), left, if left == 0 { 2 } else { 0 });
        }
        program.set_x(place).jump(hit);
    }
    program.jump(nobody).place(hit);
    for (window, distance) in windows {
        program
            .skip(If::Equal(word(window)), 0, 3)
            .from_x()
            .add(distance.wrapping_neg() as u32)
            .jump(found);
    }
    program.place(found).to_x();
}

/// X goes past a header's name of so many octets and its colon, and past one space.
fn past_name(program: &mut Assembler, name: u32) {
    let (spaced, there) = (program.label(), program.label());
    program
        .octet_at_x(name)
        .jump_if(If::Equal(SPACE), spaced)
        .from_x()
        .add(name)
        .jump(there)
        .place(spaced)
        .from_x()
        .add(name + 1)
        .place(there)
        .to_x();
}

/// X = the beginning of the Call-ID.
fn find_call_id(program: &mut Assembler, nobody: Label) {
    let windows = [(b"all-", 2), (b"ll-I", 3), (b"l-ID", 4), (b"-ID:", 5)];
    scan(program, CALL_ID_WITHIN, &windows, nobody);
    program
        .octet_at_x(0)
        .jump_unless(If::Equal(u32::from(b'\n')), nobody)
        .word_at_x(1)
        .jump_unless(If::Equal(word(b"Call")), nobody)
        .word_at_x(5)
        .jump_unless(If::Equal(word(b"-ID:")), nobody);
    past_name(program, 9);
}

/// The shard named in a Call-ID that we minted, `rf` and four digits; goes on after it when it is none.
fn minted(program: &mut Assembler) {
    let other = program.label();
    program
        .half_at_x(0)
        .jump_unless(If::Equal(half(b"rf")), other)
        .octet_at_x(6)
        .jump_unless(If::Equal(u32::from(b'-')), other)
        .octet_at_x(MINTED as u32)
        .jump_if(If::Greater(SPACE), other)
        .keep_x(AT)
        .set_x(0);
    for digit in 2..6 {
        // X holds the digits so far.
        program
            .from_x()
            .shift_left(4)
            .keep(PART)
            .load_x(AT)
            .octet_at_x(digit)
            .skip(If::AtLeast(u32::from(b'a')), 0, 1)
            .subtract(u32::from(b'a' - b'0') - 10)
            .subtract(u32::from(b'0'))
            .load_x(PART)
            .or_x()
            .to_x();
    }
    program.from_x().answer().place(other);
}

/// X = the beginning of the user part in To.
fn find_user(program: &mut Assembler, nobody: Label) {
    let windows = [
        (b"\nTo:", 0),
        (b"To: ", 1),
        (b"o: <", 2),
        (b"o: \"", 2),
        (b"\r\nTo", -1),
    ];
    scan(program, TO_WITHIN, &windows, nobody);
    program
        .octet_at_x(0)
        .jump_unless(If::Equal(u32::from(b'\n')), nobody)
        .half_at_x(1)
        .jump_unless(If::Equal(half(b"To")), nobody)
        .octet_at_x(3)
        .jump_unless(If::Equal(u32::from(b':')), nobody)
        // What is looked at from here on lies within the message.
        .length()
        .subtract_x()
        .jump_unless(If::AtLeast(5 + DISPLAY + 4 + COUNTED as u32), nobody);
    past_name(program, 4);
    let uri = program.label();
    program.word_at_x(0).jump_if(If::Equal(word(b"sip:")), uri);
    for octet in 0..DISPLAY {
        program
            .octet_at_x(octet)
            .skip(If::Equal(u32::from(b'<')), 0, 4)
            .from_x()
            .add(octet + 1)
            .to_x()
            .jump(uri);
    }
    program
        .jump(nobody)
        .place(uri)
        .word_at_x(0)
        .jump_unless(If::Equal(word(b"sip:")), nobody)
        .from_x()
        .add(4)
        .to_x();
}

/// Hashes the name at X. `ends` looks at each octet in A and jumps where the name ends.
fn hash(program: &mut Assembler, spread: Spread, ends: impl Fn(&mut Assembler)) {
    program.keep_x(AT).set_x(spread.start).keep_x(HASH);
    for octet in 0..COUNTED as u32 {
        program.load_x(AT).octet_at_x(octet);
        ends(program);
        program.load_x(HASH).xor_x().multiply(spread.factor).keep(HASH);
    }
}

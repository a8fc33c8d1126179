use super::*;
use crate::protocol::sip::{NameAddr, Peek, Uri, peek};
use crate::switch::site::{mint_call_id, minted_shard};
use proptest::prelude::*;
use shards::Steering;
use shards::steer::NOBODY;

const SHARDS: usize = 7;

fn spread() -> Spread {
    Spread::new(&Keyed::new([9; 32]))
}

fn steering() -> Steering {
    compile(spread(), SHARDS).unwrap()
}

/// The home as the appliance computes it; `None` for responses, whose branch tells.
fn home(octets: &[u8]) -> Option<u32> {
    let home = match peek(octets)? {
        Peek::Response(_) => return None,
        Peek::Request(call_id) => minted_shard(call_id).unwrap_or_else(|| spread().home(call_id, SHARDS)),
        Peek::Register(to) => {
            let mut user = Vec::new();
            Uri::parse(NameAddr::parse(to).ok()?.uri)
                .ok()?
                .write_user_decoded(&mut user);
            spread().home(&user, SHARDS)
        }
    };
    Some(u32::from(home))
}

const VIA: &str = "Via: SIP/2.0/UDP 192.0.2.4:5060;branch=z9hG4bK-9a8b7c6d\r\nMax-Forwards: 70\r\n";
const REST: &str = "CSeq: 1 INVITE\r\nContact: <sip:1001@192.0.2.4:5060>\r\nUser-Agent: phone of some maker\r\nContent-Length: 0\r\n\r\n";

fn invite(call_id: &str) -> String {
    format!("INVITE sip:1002@h SIP/2.0\r\n{VIA}From: <sip:1001@h>;tag=1\r\nTo: <sip:1002@h>\r\n{call_id}\r\n{REST}")
}

fn register(to: &str) -> String {
    format!("REGISTER sip:campus.example SIP/2.0\r\n{VIA}From: <sip:1001@h>;tag=1\r\n{to}\r\nCall-ID: a@b\r\n{REST}")
}

#[test]
fn names_are_spread_evenly() {
    let mut counts = [0; SHARDS];
    for number in 20_000..90_000 {
        counts[usize::from(spread().home(number.to_string().as_bytes(), SHARDS))] += 1;
    }
    assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
}

#[test]
fn the_key_decides() {
    let other = Spread::new(&Keyed::new([8; 32]));
    let moved = (0..1000).filter(|number: &u32| {
        let name = number.to_string();
        other.home(name.as_bytes(), SHARDS) != spread().home(name.as_bytes(), SHARDS)
    });
    assert!(moved.count() > 700);
}

#[test]
fn there_is_a_program_for_more_than_one_shard() {
    assert!(compile(spread(), 1).is_none());
    for shards in [2, 3, 64, 1024] {
        assert!(compile(spread(), shards).is_some(), "{shards}");
    }
}

/// At every alignment, what phones commonly send reaches its home.
#[test]
fn common_messages_go_home() {
    let program = steering();
    let invites = ["Call-ID: ", "Call-ID:"].map(|name| {
        [
            "a",
            "3848276298220188511@atlanta.example.com",
            "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0@192.0.2.4",
        ]
        .map(|call_id| invite(&format!("{name}{call_id}")))
    });
    let registers = [
        "To: <sip:1001@campus.example>",
        "To: <sip:1001@campus.example:5060;transport=udp>",
        "To: \"A. Smith\" <sip:a.smith+desk@campus.example>",
        "To: <sip:a-user-name-of-more-than-32-octets-is-long@campus.example>",
    ]
    .map(register);
    for message in invites.as_flattened().iter().chain(&registers) {
        for pad in 0..8 {
            let message = message.replacen("SIP/2.0\r\n", &format!("SIP/2.0\r\nX: {}\r\n", "x".repeat(pad)), 1);
            let due = home(message.as_bytes());
            assert_eq!(Some(program.run(message.as_bytes())), due, "{message}");
        }
    }
    let answer =
        invite("Call-ID: 3848276298220188511@atlanta").replacen("INVITE sip:1002@h SIP/2.0", "SIP/2.0 200 OK", 1);
    let due = spread().home(b"3848276298220188511@atlanta", SHARDS);
    assert_eq!(program.run(answer.as_bytes()), u32::from(due));
}

#[test]
fn calls_of_our_own_go_to_the_shard_that_began_them() {
    let program = steering();
    for shard in [0, 1, 6, 9, 10, 17, 0x0abc, 0xffff] {
        let mut call_id = Vec::from(b"Call-ID: ");
        mint_call_id(&mut call_id, shard, [0xa5; 12]);
        let message = invite(core::str::from_utf8(&call_id).unwrap());
        assert_eq!(program.run(message.as_bytes()), u32::from(shard));
    }
}

#[test]
fn what_is_not_plain_is_left_to_others() {
    let program = steering();
    for message in [
        String::new(),
        String::from("\r\n\r\n"),
        "x".repeat(2000),
        invite("X-Call-ID: a"),
        invite("Call-Info: <http://h/a>"),
        invite("i: abc"),
        register("To: <sip:campus.example>"),
        register("To: <sip:10%301@campus.example>"),
        register("To: <sip:1001:secret@campus.example>"),
        register("To: <sips:1001@campus.example>"),
        register("To: <tel:1001>"),
        register("X-To: <sip:1001@campus.example>"),
    ] {
        assert_eq!(program.run(message.as_bytes()), NOBODY, "{message}");
    }
    // Cut anywhere: never shard 0 by a load past the end.
    for message in [
        invite("Call-ID: abc@d"),
        register("To: \"A\" <sip:1001@campus.example>"),
    ] {
        let due = home(message.as_bytes()).unwrap();
        for len in 0..message.len() {
            let answer = program.run(&message.as_bytes()[..len]);
            assert!(answer == NOBODY || answer == due, "{len}: {answer}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever a line holds, an understood message goes to the home that the parser finds.
    #[test]
    fn never_elsewhere(
        before in proptest::collection::vec("[A-Z][A-Za-z-]{3,10}: [ -~]{0,60}", 0..6),
        call_id in "[!-~]{1,60}",
        user in "[0-9a-z.+%:;*-]{1,40}",
        display in "(\"[ -~&&[^\"\\\\]]{0,30}\" ?)?",
        gap in " {0,2}",
    ) {
        let program = steering();
        let before: String = before.iter().map(|line| format!("{line}\r\n")).collect();
        for message in [
            invite(&format!("{before}Call-ID:{gap}{call_id}")),
            register(&format!("{before}To:{gap}{display}<sip:{user}@h>")),
        ] {
            let answer = program.run(message.as_bytes());
            if let Some(due) = home(message.as_bytes()) {
                prop_assert!(answer == NOBODY || answer == due || gap.len() == 2, "{answer} for {due}: {message}");
            }
        }
    }
}

//! REGISTER: RFC 3261 section 10, digest.

use super::phone::Habits;
use super::stage::{Setup, Stage};
use super::text;

#[test]
fn a_phone_registers_refreshes_asks_and_leaves() {
    for shards in [2, 3] {
        for seed in 0..4 {
            let mut stage = Stage::new(Setup {
                seed,
                shards,
                ..Setup::default()
            });
            let sha256 = seed % 2 == 1;
            let phone = stage.registered(
                "alice",
                Habits {
                    sha256,
                    q: Some("0.5"),
                    ..Habits::default()
                },
            );
            assert_eq!(stage.look(phone).register.statuses, [401, 200]);
            let granted = stage.look(phone).register.last.clone().expect("an answer");
            let contact = granted.one("contact").to_owned();
            assert_eq!(text::parameter(&contact, "expires"), Some("3600"), "{contact}");
            assert_eq!(text::parameter(&contact, "q"), Some("0.500"), "{contact}");

            // Time passes, a refresh asks for less.
            stage.run(60_000);
            stage.act(phone, |phone, cx| phone.register(cx, 600));
            stage.run(1000);
            let granted = stage.look(phone).register.last.clone().expect("an answer");
            assert_eq!(granted.status(), 200);
            assert_eq!(granted.all("contact").count(), 1, "{granted:?}");
            assert_eq!(text::parameter(granted.one("contact"), "expires"), Some("600"));

            // Section 10.2.3: no Contact only asks.
            stage.run(10_000);
            stage.act(phone, |phone, cx| phone.send_register(cx, String::new(), ""));
            stage.run(1000);
            let listed = stage.look(phone).register.last.clone().expect("an answer");
            let left = text::parameter(listed.one("contact"), "expires").and_then(|left| left.parse::<u32>().ok());
            assert!(left.is_some_and(|left| (580..600).contains(&left)), "{listed:?}");

            // Section 10.2.8: too short.
            stage.act(phone, |phone, cx| phone.register(cx, 5));
            stage.run(1000);
            let refused = stage.look(phone).register.last.clone().expect("an answer");
            assert_eq!((refused.status(), refused.one("min-expires")), (423, "60"));

            // Section 10.2.2: all away.
            let all = "Contact: *\nExpires: 0\n";
            stage.act(phone, |phone, cx| phone.send_register(cx, all.into(), ""));
            stage.run(1000);
            let gone = stage.look(phone).register.last.clone().expect("an answer");
            assert_eq!((gone.status(), gone.all("contact").count()), (200, 0), "{gone:?}");
            stage.rest(0);
        }
    }
}

#[test]
fn a_replayed_nonce_is_stale_and_a_wrong_password_is_challenged() {
    let mut stage = Stage::new(Setup::default());
    let phone = stage.registered("alice", Habits::default());
    let used = stage.look(phone).register.credentials.clone();
    assert!(used.contains("nc=00000001"));
    stage.act(phone, |phone, cx| {
        let wish = format!("Contact: <sip:{}@{}>\nExpires: 900\n", phone.name, phone.me);
        phone.send_register(cx, wish, &used);
    });
    stage.run(1000);
    let refused = stage.look(phone).register.last.clone().expect("an answer");
    assert_eq!(refused.status(), 401);
    assert!(
        refused
            .all("www-authenticate")
            .all(|value| value.ends_with("stale=true")),
        "RFC 7616 section 3.4.5: {refused:?}"
    );
    let stranger = stage.phone("mallory", Habits::default());
    stage.act(stranger, |phone, cx| phone.register(cx, 600));
    stage.run(1000);
    assert_eq!(stage.look(stranger).register_status(), 401);
    assert_eq!(stage.figures(0).registrations + stage.figures(1).registrations, 1);
    stage.rest(0);
}

/// RFC 3261 section 26.3.2.4: who has not proved anything gets no memory of ours.
#[test]
fn challenges_take_no_transaction() {
    use ringfort::ops::stats::{Class, Direction, MethodLabel};
    let mut stage = Stage::new(Setup::default());
    let stranger = stage.phone("mallory", Habits::default());
    for _ in 0..20 {
        stage.act(stranger, |phone, cx| phone.register(cx, 600));
        stage.run(10);
    }
    let mut challenges = 0;
    for shard in 0..2 {
        assert_eq!(stage.world.program(shard).leftovers(), Default::default());
        let figures = stage.figures(shard);
        let register = figures.stats.responses[MethodLabel::Register as usize];
        challenges += register[Class::ClientError as usize][Direction::Out as usize];
    }
    assert_eq!(
        challenges, 40,
        "each is counted: without credentials, and with wrong ones"
    );
    stage.rest(0);
}

#[test]
fn a_reload_changes_passwords() {
    for sha256 in [false, true] {
        let habits = || Habits {
            sha256,
            ..Habits::default()
        };
        let mut stage = Stage::new(Setup::default());
        let old = stage.registered("alice", habits());
        stage.reload(|plan| plan.users.iter_mut().for_each(|user| user.password.push('!')));
        stage.act(old, |phone, cx| phone.register(cx, 600));
        stage.run(1000);
        assert_eq!(stage.look(old).register_status(), 401, "the old password");
        let new = stage.phone("alice", habits());
        stage.act(new, |phone, cx| phone.register(cx, 600));
        stage.run(1000);
        assert_eq!(stage.look(new).register_status(), 200, "the new password");
        stage.rest(0);
    }
}

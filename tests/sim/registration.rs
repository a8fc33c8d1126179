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

//! Echo test and music.

use super::phone::Habits;
use super::stage::{Setup, Stage};

#[test]
fn echo_and_music() {
    for (seed, number) in [(1, "9196"), (2, "9664"), (3, "9196"), (4, "9664")] {
        let mut stage = Stage::new(Setup {
            seed,
            ..Setup::default()
        });
        let alice = stage.registered("alice", Habits::default());
        stage.act(alice, |phone, cx| phone.call(cx, number));
        stage.run(5000);
        let leg = stage.look(alice).leg();
        assert_eq!(leg.status, 200);
        assert!(leg.heard > 30, "{number}: heard {} of {}", leg.heard, leg.sent);
        for (method, direction) in [("INVITE", "sendonly"), ("UPDATE", "sendrecv"), ("INVITE", "sendrecv")] {
            stage.act(alice, |phone, cx| phone.change(cx, 0, method, direction));
            stage.run(1000);
        }
        let leg = stage.look(alice).leg();
        assert_eq!(leg.changes, [200, 200, 200], "{number}");
        stage.act(alice, |phone, cx| phone.change_without_offer(cx, 0));
        stage.run(1000);
        let leg = stage.look(alice).leg();
        assert_eq!(leg.changes, [200, 200, 200, 200], "{number}");
        let before = leg.heard;
        stage.run(3000);
        assert!(stage.look(alice).leg().heard > before + 20, "{number}");
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["mode"], "service");
    }
}

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
        stage.act(alice, |phone, cx| phone.hang_up(cx, 0));
        stage.rest(1);
        assert_eq!(stage.cdr()[0]["mode"], "service");
    }
}

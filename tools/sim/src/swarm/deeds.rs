//! What happens in a world, one deed at a time, by weight.

use super::Swarm;
use crate::check::Violation;
use crate::phone::{Answer, Phone};
use crate::text::Text;
use ringfort::switch::mesh::Mesh;
use shards::ShardId;
use shards::sim::Link;
use std::time::Duration;

/// Seconds of a registration that no world outlives.
const LONG: u32 = 600;

impl Swarm {
    /// Does something; how many calls that were.
    pub(super) fn deed(&mut self) -> u32 {
        match self.random.below(1000) {
            0..550 => {
                self.call();
                return 1;
            }
            550..840 => self.press(),
            840..850 => self.transfer(),
            850..900 => self.register_again(),
            900..930 => self.change_network(),
            930..932 => self.hang_up_all(),
            968..970 => self.disconnect(),
            932..938 if self.draw.faults.crashes => self.crash(),
            940..946 if self.draw.faults.kills => self.kill(),
            950..964 if self.draw.faults.disk => self.change_disk(),
            966..968 => self.move_away(),
            970..975 if self.draw.faults.deaths => self.die(),
            980..984 if self.draw.faults.clock => self.jump(),
            _ => {}
        }
        0
    }

    fn any(&mut self) -> usize {
        self.random.below(self.members.len() as u64) as usize
    }

    fn shard(&mut self) -> ShardId {
        self.random.below(u64::from(self.draw.shards)) as ShardId
    }

    /// What somebody may dial; nothing when it is his own number.
    fn number(&mut self, caller: usize) -> Option<String> {
        let callee = self.any();
        let number = match (self.random.below(40), self.members[callee].user) {
            (0, _) => "9196".to_owned(),
            (1, _) => "9664".to_owned(),
            (2, _) => "nobody".to_owned(),
            (3, _) => "911".to_owned(),
            (_, None) => format!("9{}", self.random.below(1000)),
            (_, Some(_)) => self.stage.look(self.members[callee].id).name.clone(),
        };
        // Its own telephone would ring; and no carrier calls itself through us.
        let gateway = self.members[caller].user.is_none();
        let own = number == self.stage.look(self.members[caller].id).name || (gateway && number.starts_with('9'));
        (!own).then_some(number)
    }

    fn call(&mut self) {
        let caller = self.any();
        if self.members[caller].dead {
            return;
        }
        if let Some(number) = self.number(caller) {
            self.stage
                .act(self.members[caller].id, |phone, cx| phone.call(cx, &number));
        }
    }

    /// One of the last calls of a phone is given to somebody else.
    fn transfer(&mut self) {
        let (place, back) = (self.any(), self.random.below(3) as usize);
        if self.members[place].dead {
            return;
        }
        if let Some(number) = self.number(place) {
            self.stage.act(self.members[place].id, |phone, cx| {
                let leg = phone.legs.len().wrapping_sub(1 + back);
                phone.transfer(cx, leg, &number);
            });
        }
    }

    /// A connection breaks.
    fn disconnect(&mut self) {
        let place = self.any();
        if !self.members[place].dead {
            let ip = self.stage.act(self.members[place].id, |phone, cx| {
                phone.drop_connection(cx);
                phone.me.ip()
            });
            self.deed_log(&format!("the connection of {ip} breaks"));
        }
    }

    /// A button on one of the last calls of a phone.
    fn press(&mut self) {
        let (place, button, back) = (self.any(), self.random.below(12), self.random.below(3) as usize);
        if self.members[place].dead {
            return;
        }
        self.stage.act(self.members[place].id, |phone: &mut Phone, cx| {
            let Some(leg) = phone.legs.len().checked_sub(1 + back) else {
                return;
            };
            match button {
                0 | 1 => phone.change(cx, leg, "INVITE", "sendonly"),
                2 | 3 => phone.change(cx, leg, "UPDATE", "sendrecv"),
                4 => phone.change(cx, leg, "INVITE", "inactive"),
                5 => phone.change(cx, leg, "INVITE", "sendrecv"),
                6 => phone.hang_up(cx, leg),
                7 | 8 => phone.cancel(cx, leg),
                9 => phone.pick_up_incoming(cx, leg),
                10 => phone.change_when_quiet(cx, leg),
                _ => {}
            }
        });
    }

    fn register_again(&mut self) {
        let place = self.any();
        if !self.members[place].dead && self.members[place].user.is_some() {
            let expires = [3600, 600, 60, 0][self.random.below(4) as usize];
            self.stage
                .act(self.members[place].id, |phone, cx| phone.register(cx, expires));
        }
    }

    fn change_network(&mut self) {
        let link = self.draw.links[self.random.below(2) as usize];
        self.deed_log(&format!("the network: {link:?}"));
        self.stage.world.set_link(link);
    }

    fn hang_up_all(&mut self) {
        let shard = self.shard();
        self.deed_log(&format!("all calls of shard {shard} are ended"));
        // A full mesh takes no order; nor would the real one.
        let _ = self.stage.world.send_mesh(shard, Mesh::HangUpAll);
    }

    /// A port that a phone still speaks to may be given to another call: the program that knew is gone.
    fn mute(&mut self) {
        for member in &self.members {
            let legs = self.stage.look(member.id).legs.iter_mut();
            legs.for_each(|leg| leg.mute = true);
        }
    }

    fn crash(&mut self) {
        let shard = self.shard();
        self.mute();
        self.stage.keep_logs();
        self.stage.world.crash_shard(shard);
    }

    fn kill(&mut self) {
        // Somewhere between the REGISTERs, what they become on the disk, and their answers.
        self.stage.world.set_link(Link::default());
        for _ in 0..3 {
            let place = self.any();
            if !self.members[place].dead && self.members[place].user.is_some() {
                let id = self.members[place].id;
                let expires = LONG + self.random.below(3000) as u32;
                self.stage.act(id, |phone, cx| phone.register(cx, expires));
            }
        }
        let instant = Duration::from_micros(self.random.below(6000));
        let until = self.stage.world.now() + instant;
        self.stage.world.run_until(until);
        self.mute();
        self.stage.keep_logs();
        let sure = !self.draw.faults.disk && !self.draw.faults.clock;
        for member in self.members.iter().filter(|_| sure) {
            let phone = self.stage.look(member.id);
            let (name, granted, uri) = (phone.name.clone(), phone.granted(), phone.uri());
            let cseq = phone.register.last.as_ref().map_or(0, Text::cseq);
            if granted >= LONG && !self.stage.is_kept_at(&name, &uri, cseq) {
                self.wrong.push(Violation {
                    at: self.stage.world.now(),
                    call_id: String::new(),
                    text: format!("{name} was answered 200 to its REGISTER, but the log does not hold {uri}"),
                });
            }
        }
        self.stage.world.crash_process();
    }

    fn change_disk(&mut self) {
        let (shard, fails) = (self.shard(), self.random.below(2) == 0);
        self.deed_log(&format!(
            "the disk of shard {shard} {}",
            if fails { "refuses" } else { "is fine" }
        ));
        self.stage.world.fail_log(shard, fails);
    }

    fn die(&mut self) {
        let place = self.any();
        let phone = self.stage.look(self.members[place].id);
        phone.habits.answer = Answer::Dead;
        phone.switch_off();
        let (ip, name) = (phone.me.ip(), phone.name.clone());
        self.members[place].dead = true;
        self.gone = true;
        self.checker.borrow_mut().gone(ip);
        self.deed_log(&format!("{name} at {ip} dies"));
    }

    fn move_away(&mut self) {
        let place = self.any();
        let member = &self.members[place];
        // A connection stays where it is, and so do gateways.
        if member.dead || member.user.is_none() || self.stage.look(member.id).habits.tcp {
            return;
        }
        let ip = self.stage.act(self.members[place].id, |phone, cx| {
            phone.move_away(cx);
            phone.me.ip()
        });
        if self.draw.proxy {
            // What it has to acknowledge goes to where it was.
            self.gone = true;
            self.checker.borrow_mut().gone(ip);
        }
        self.deed_log(&format!("the phone at {ip} moves"));
    }

    fn jump(&mut self) {
        let by = self.random.below(7_200_000) as i64 - 3_600_000;
        self.deed_log(&format!("the wall clock jumps by {by} ms"));
        self.stage.world.jump_wall(by);
    }
}

//! The users that redirected requests lead to: looked up here, or asked for at their home shard.

use super::Appliance;
use crate::switch::core::{Turn, role};
use crate::switch::mesh::{Asker, Mesh};
use crate::switch::redirect::Lookup;
use crate::switch::target::TargetSet;
use shards::Cx;

impl Appliance {
    /// Sends the questions that the roles left behind while they took a response.
    pub(super) fn look_up(&mut self, cx: &mut Cx<'_, Mesh>) {
        while let Some(lookup) = self.proxy.next_lookup() {
            self.look_one_up(cx, role::PROXY, lookup);
        }
        while let Some(lookup) = self.b2bua.next_lookup() {
            self.look_one_up(cx, role::B2BUA, lookup);
        }
    }

    fn look_one_up(&mut self, cx: &mut Cx<'_, Mesh>, role: u8, lookup: Lookup) {
        let asker = Asker {
            shard: self.core.shard,
            role,
            handle: lookup.handle,
            redirection: lookup.redirection,
        };
        let home = self.core.site.home(&lookup.aor);
        if home == self.core.shard {
            let targets = self.registrar.targets(cx.now, &lookup.aor);
            return self.more_targets(cx, asker, targets);
        }
        self.deliver(cx, home, Mesh::Locate { asker, aor: lookup.aor });
    }

    /// A redirection's targets for the request that follows it.
    pub(super) fn more_targets(&mut self, cx: &mut Cx<'_, Mesh>, asker: Asker, targets: TargetSet) {
        let mut turn = Turn {
            core: &mut self.core,
            cx,
        };
        match asker.role {
            role::PROXY => self
                .proxy
                .more_targets(&mut turn, asker.handle, asker.redirection, targets),
            role::B2BUA => self
                .b2bua
                .more_targets(&mut turn, asker.handle, asker.redirection, targets),
            _ => {}
        }
    }
}

//! Which Contacts of a 3xx a request follows: RFC 3261 sections 8.1.3.4, 16.7 step 4 and 21.3,
//! RFC 5630 for `sips`.
//!
//! The callee names the Contacts, so each is decided like a number that was dialled here: our users
//! and the routes that the caller may use himself. A 3xx makes nobody call abroad who could not have
//! called there, and sends nothing to an address that is not a registered phone's or a trunk's.

use super::core::Scratch;
use super::routing::{self, Destination};
use super::site::Site;
use super::slab::Handle;
use super::target::{Hunt, Target, TargetSet, qvalue};
use crate::config::plan::{CallPolicy, MediaPath, Mode, RouteAuth};
use crate::protocol::Path;
use crate::protocol::sip::{Message, Method, Name, NameAddr, Scheme, Uri};
use shards::{Buf, Time};

/// The most redirections that one request follows, over all its branches.
pub const MOST: u8 = 5;
/// The most Contacts of one response that are looked at.
pub const MOST_CONTACTS: usize = 8;

/// One request's account of redirections. Small for the many requests that meet none.
#[derive(Debug, Default)]
pub struct Redirects {
    /// How many more may be followed.
    left: u8,
    proven: bool,
    trusted: bool,
    course: Option<Box<Course>>,
}

/// What a request that was redirected has to remember.
#[derive(Debug)]
struct Course {
    /// Hashes of the user parts that were asked for, the dialled one first.
    tried: Vec<u64>,
    found: Vec<Found>,
    /// Look-ups that nobody answered yet, a bit each.
    awaited: u8,
    until: Time,
}

#[derive(Debug)]
struct Found {
    /// The Contact's preference, and its place among those of equal preference.
    rank: (u16, u8),
    targets: TargetSet,
    trunks: bool,
}

/// A 3xx with all that decides about it.
pub struct Case<'a> {
    /// The site.
    pub site: &'a Site,
    /// The caller's request.
    pub request: &'a Message<'a>,
    /// The 3xx.
    pub response: &'a Message<'a>,
    /// Where the 3xx came from.
    pub from: &'a Path,
    /// Role and media path that the request has now.
    pub has: CallPolicy,
    /// When a look-up counts as failed.
    pub until: Time,
}

/// A user whose bindings a redirected request needs.
#[derive(Debug)]
pub struct Lookup {
    /// The request in its role.
    pub handle: Handle,
    /// Which of its redirections, from 1.
    pub redirection: u8,
    /// The user.
    pub aor: Buf,
}

/// Which Contacts of a 3xx were followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// One bit for each of the first [`MOST_CONTACTS`] values.
    places: u8,
    /// All that there were.
    all: bool,
}

/// What becomes of one Contact.
enum Verdict {
    /// It stays in the response.
    Leave,
    /// This request has been there: nothing new can come of it.
    Tried,
    User,
    Trunks(TargetSet),
}

impl Redirects {
    /// The account of a request that opens something (no To tag): only an INVITE follows. `proven`
    /// when the caller showed who he is, `trusted` when he called from a trusted address.
    #[must_use]
    pub fn new(site: &Site, request: &Message<'_>, proven: bool, trusted: bool) -> Self {
        let follows =
            site.plan.sip.follow_redirects && request.method() == Method::Invite && request.to_tag().is_none();
        Self {
            left: if follows { MOST } else { 0 },
            proven,
            trusted,
            course: None,
        }
    }

    /// Whether a response with this status may be followed. 305 (Use Proxy) would let the callee
    /// choose the way of our traffic, and 380 describes another service: both are the caller's affair.
    #[must_use]
    pub const fn may_follow(&self, status: u16) -> bool {
        self.left > 0 && matches!(status, 300..=302)
    }

    /// Decides about the Contacts, best first. Users are asked for through `ask` (redirection, AOR);
    /// the answer belongs into [`Redirects::located`].
    pub fn follow(&mut self, case: &Case<'_>, scratch: &mut Scratch, ask: &mut dyn FnMut(u8, &[u8])) -> Followed {
        let (contacts, count) = read(case.response);
        let mut followed = Followed::default();
        let mut user = scratch.take();
        for contact in contacts.iter().take(contacts.len().min(count)) {
            user.clear();
            let verdict = self.verdict(case, contact.uri, &mut user, scratch);
            if matches!(verdict, Verdict::Leave) {
                continue;
            }
            followed.places |= 1 << contact.place;
            let place = MOST - self.left;
            let (targets, trunks) = match verdict {
                Verdict::Leave | Verdict::Tried => continue,
                Verdict::User => (TargetSet::default(), false),
                Verdict::Trunks(targets) => (targets, true),
            };
            self.left -= 1;
            let course = self.course.get_or_insert_with(|| Box::new(Course::new(case)));
            course.tried.push(case.site.hash_of(&[&user]));
            course.found.push(Found {
                rank: (contact.q, place),
                targets,
                trunks,
            });
            if !trunks {
                course.awaited |= 1 << place;
                course.until = case.until;
                ask(place + 1, &user);
            }
        }
        scratch.give(user);
        followed.all = count > 0 && followed.places.count_ones() as usize == count;
        followed
    }

    fn verdict(&self, case: &Case<'_>, raw: &[u8], user: &mut Vec<u8>, scratch: &mut Scratch) -> Verdict {
        let Ok(uri) = Uri::parse(raw) else {
            return Verdict::Leave;
        };
        // RFC 5630 section 5.3: what was asked for over TLS is not passed on without.
        let secure = Uri::parse(case.request.uri()).is_ok_and(|uri| uri.scheme == Scheme::Sips);
        if secure && uri.scheme != Scheme::Sips {
            return Verdict::Leave;
        }
        routing::dialled(&uri, user);
        if case.site.is_emergency(raw, user) {
            return Verdict::Leave;
        }
        let destination = routing::decide(case.site, &uri, raw, user);
        let allowed = match destination {
            Destination::User(_) => serves(case.has, case.site.plan.local),
            Destination::Trunks { policy, auth, .. } => serves(case.has, policy) && self.may(auth, case),
            _ => false,
        };
        if !allowed {
            return Verdict::Leave;
        }
        let hash = case.site.hash_of(&[user]);
        let tried = match &self.course {
            Some(course) => course.tried.contains(&hash),
            None => hash == dialled_hash(case),
        };
        match destination {
            _ if tried => Verdict::Tried,
            _ if self.left == 0 => Verdict::Leave,
            Destination::User(_) => Verdict::User,
            Destination::Trunks { trunks, .. } => {
                let mut octets = scratch.take();
                let targets = routing::trunk_targets(case.site, trunks, user, &mut octets);
                scratch.give(octets);
                if targets.is_empty() {
                    Verdict::Leave
                } else {
                    Verdict::Trunks(targets)
                }
            }
            _ => Verdict::Leave,
        }
    }

    /// Whether the caller may be led over a route: as if he had dialled it, and never by somebody
    /// beyond a trunk, whom our route would cost nothing.
    fn may(&self, auth: RouteAuth, case: &Case<'_>) -> bool {
        match auth {
            RouteAuth::Open => true,
            _ if is_trunk(case.site, case.from) => false,
            RouteAuth::Trusted => self.trusted,
            RouteAuth::Digest => self.proven || self.trusted,
        }
    }

    /// The bindings of a user who was asked for; false when nobody waits for them (any more).
    pub fn located(&mut self, redirection: u8, targets: TargetSet) -> bool {
        let Some(course) = &mut self.course else { return false };
        let place = redirection.wrapping_sub(1);
        let bit = 1u8.checked_shl(u32::from(place)).unwrap_or(0);
        if course.awaited & bit == 0 {
            return false;
        }
        course.awaited &= !bit;
        if let Some(found) = course.found.iter_mut().find(|found| found.rank.1 == place) {
            found.targets = targets;
        }
        true
    }

    /// Whether a look-up is on its way: the request is not over yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.course.as_ref().is_some_and(|course| course.awaited != 0)
    }

    /// When the look-ups count as failed; far away without any.
    #[must_use]
    pub fn until(&self) -> Time {
        match &self.course {
            Some(course) if course.awaited != 0 => course.until,
            _ => Time::FAR,
        }
    }

    /// Waits no longer for look-ups that are overdue; true when there were such.
    pub fn give_up(&mut self, now: Time) -> bool {
        let late = self.until() <= now;
        if late && let Some(course) = &mut self.course {
            course.awaited = 0;
        }
        late
    }

    /// Follows nothing any more; true when a look-up was on its way.
    pub fn stop(&mut self) -> bool {
        let waited = self.is_waiting();
        *self = Self::default();
        waited
    }

    /// Puts the new targets before those that were left, and says by `hunt` how they are to be tried;
    /// true when there are new ones. Beyond trunks, and before targets of a hunt for a live one, the
    /// next is tried only when the one before is dead.
    pub fn lead(&mut self, targets: &mut TargetSet, hunt: &mut Hunt) -> bool {
        let rest = std::mem::take(targets);
        let behind = *hunt == Hunt::Dead && !rest.is_empty();
        match self.take(rest) {
            Err(rest) => {
                *targets = rest;
                false
            }
            Ok((new, trunks)) => {
                *targets = new;
                *hunt = if trunks || behind { Hunt::Dead } else { Hunt::Any };
                true
            }
        }
    }

    /// The new targets in order, with `rest` behind them, and whether trunks are among the new;
    /// `Err(rest)` when there are none, or not yet.
    ///
    /// # Errors
    /// The same `rest`.
    fn take(&mut self, rest: TargetSet) -> Result<(TargetSet, bool), TargetSet> {
        let Some(course) = self.course.as_mut().filter(|course| course.awaited == 0) else {
            return Err(rest);
        };
        let mut found = std::mem::take(&mut course.found);
        found.retain(|found| !found.targets.is_empty());
        if found.is_empty() {
            return Err(rest);
        }
        found.sort_by_key(|found| (std::cmp::Reverse(found.rank.0), found.rank.1));
        let trunks = found.iter().any(|found| found.trunks);
        Ok((in_order(&found, &rest), trunks))
    }
}

impl Course {
    fn new(case: &Case<'_>) -> Self {
        Self {
            tried: vec![dialled_hash(case)],
            found: Vec::new(),
            awaited: 0,
            until: Time::FAR,
        }
    }
}

impl Followed {
    /// True when no Contact was followed.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.places == 0
    }

    /// True when every Contact was followed: the response says nothing any more.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.all
    }

    /// Writes the response with the Contacts that were not followed (section 16.7 step 4).
    pub fn write_rest(&self, out: &mut Vec<u8>, response: &Message<'_>) {
        out.extend_from_slice(b"SIP/2.0 ");
        crate::protocol::sip::write_number(out, u64::from(response.status()));
        out.push(b' ');
        out.extend_from_slice(response.reason());
        out.extend_from_slice(b"\r\n");
        for line in response.lines().filter(|line| line.name != Name::Contact) {
            out.extend_from_slice(line.raw);
        }
        for (place, value) in response.values(Name::Contact).enumerate() {
            let gone = place < MOST_CONTACTS && self.places & (1 << place) != 0;
            if !gone {
                out.extend_from_slice(b"Contact: ");
                out.extend_from_slice(value);
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(response.body());
    }
}

#[derive(Clone, Copy, Default)]
struct Contact<'a> {
    /// Empty when the value cannot be read.
    uri: &'a [u8],
    q: u16,
    /// Which value of the response.
    place: u8,
}

/// The first Contacts of a response by falling preference, and how many it has in all.
fn read<'a>(response: &Message<'a>) -> ([Contact<'a>; MOST_CONTACTS], usize) {
    let mut contacts = [Contact::default(); MOST_CONTACTS];
    let mut values = response.values(Name::Contact);
    let mut count = 0;
    for (place, (contact, value)) in (0..).zip(contacts.iter_mut().zip(values.by_ref())) {
        let address = NameAddr::parse(value).ok();
        *contact = Contact {
            uri: address.map_or(&[], |address| address.uri),
            q: address.and_then(|address| address.param("q")).map_or(1000, qvalue),
            place,
        };
        count += 1;
    }
    if let Some(read) = contacts.get_mut(..count) {
        read.sort_by_key(|contact| std::cmp::Reverse(contact.q));
    }
    (contacts, count + values.count())
}

/// Targets of equal preference, of Contacts of equal preference, are tried at once; `rest` after all.
fn in_order(found: &[Found], rest: &TargetSet) -> TargetSet {
    let new = found.iter().flat_map(|found| {
        let of = found.rank.0;
        found.targets.iter().map(move |target| (Some((of, target.q)), target))
    });
    let mut new: Vec<_> = new.collect();
    new.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let old = rest.iter().map(|target| ((None, target.q), target));
    let mut set = TargetSet::default();
    let mut group = None;
    let mut q = 1001u16;
    for (key, target) in new.into_iter().map(|(rank, target)| ((rank, 0), target)).chain(old) {
        if group != Some(key) {
            group = Some(key);
            q = q.saturating_sub(1);
        }
        set.push(&Target { q, ..target });
    }
    set
}

/// Whether a request in role and media path `has` can go where `wants` is asked for: a proxied call
/// cannot hide the topology half-way, nor one with direct audio begin to relay. Where a route answers
/// with a redirection itself, the caller follows it himself.
const fn serves(has: CallPolicy, wants: CallPolicy) -> bool {
    match wants.mode {
        Mode::Redirect => false,
        Mode::Proxy => true,
        Mode::B2bua => {
            matches!(has.mode, Mode::B2bua)
                && (matches!(has.media, MediaPath::Relay) || matches!(wants.media, MediaPath::Direct))
        }
    }
}

/// Whether a response on this path came from one of our trunks.
#[must_use]
pub fn is_trunk(site: &Site, path: &Path) -> bool {
    let targets = site.plan.trunks.iter().flat_map(|trunk| &trunk.targets);
    let mut paths = targets.filter_map(|target| site.trunk_path(target));
    paths.any(|trunk| trunk.peer == path.peer)
}

fn dialled_hash(case: &Case<'_>) -> u64 {
    let mut user = Vec::new();
    if let Ok(uri) = Uri::parse(case.request.uri()) {
        routing::dialled(&uri, &mut user);
    }
    case.site.hash_of(&[&user])
}

#[cfg(test)]
mod tests;

//! `ringfort init`: a commented configuration for this host.

use crate::cli::template::{self, Host};
use crate::cli::{InitArgs, complain, say};
use crate::config::Machine;
use crate::store::readable_password;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes `ringfort.toml` into a folder, and never over one that is there.
pub fn init(args: &InitArgs) -> ExitCode {
    let file = args.folder.join("ringfort.toml");
    match write(&file) {
        Ok(()) => {
            say(&format!("wrote {0}; next: ringfort check --config {0}", file.display()));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            complain(&format!("{} is there already and was not touched", file.display()));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("cannot write {}: {error}", file.display()));
            ExitCode::FAILURE
        }
    }
}

fn write(file: &PathBuf) -> io::Result<()> {
    let address = own_address().to_string();
    let domain = domain();
    let password = readable_password().map_err(|error| io::Error::other(error.to_string()))?;
    let cores = Machine::probe().cores;
    let text = template::fill(&Host {
        address: &address,
        domain: &domain,
        cores,
        password: &password,
    });
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Mode 0600: it holds passwords.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The address from which this host would speak to the outside: a connected UDP socket sends
/// nothing, it only asks the routing table. Loopback when there is no route.
fn own_address() -> IpAddr {
    let documentation = (Ipv4Addr::new(192, 0, 2, 1), 5060);
    let ask = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(documentation)?;
        Ok(socket.local_addr()?.ip())
    };
    ask()
        .ok()
        .filter(|address| !address.is_unspecified())
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// The host's own domain when it has one, otherwise an example to be replaced.
fn domain() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let domain = name
        .trim()
        .split_once('.')
        .map(|(_, domain)| domain.to_ascii_lowercase());
    let fine =
        |domain: &String| domain.contains('.') && domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    domain.filter(fine).unwrap_or_else(|| "campus.example".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_is_written_passes_the_check_and_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let args = InitArgs {
            folder: folder.path().join("new"),
        };
        assert_eq!(init(&args), ExitCode::SUCCESS);
        let file = args.folder.join("ringfort.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let resolved = config::load(&file, None).map_err(|errors| errors.to_string()).unwrap();
        assert_eq!(resolved.warnings, []);
        assert_eq!(resolved.plan.users.len(), 1);
        assert_eq!(init(&args), ExitCode::FAILURE);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }

    /// What the template shows as defaults must be the defaults, and be accepted.
    #[test]
    fn what_is_commented_out_passes_the_check_too() {
        let host = Host {
            address: "127.0.0.1",
            domain: "campus.example",
            cores: 1,
            password: "secret",
        };
        let text = template::fill(&host);
        let key = |line: &str| {
            let line = line.strip_prefix("# ")?;
            let word = line.split([' ', '=']).next()?;
            let is_key = !word.is_empty()
                && line.contains(" = ")
                && word
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c));
            (is_key || line.starts_with("[[")).then(|| line.to_owned())
        };
        let all: String = text
            .lines()
            .map(|line| key(line).unwrap_or_else(|| line.to_owned()) + "\n")
            .collect();
        let resolve =
            |text: &str| config::parse(text, "ringfort.toml".as_ref(), None).map_err(|errors| errors.to_string());
        let (commented, plain) = (resolve(&all).unwrap().plan, resolve(&text).unwrap().plan);
        assert_eq!((commented.trunks.len(), commented.routes.len()), (1, 1));
        let policy = |plan: &config::Plan| {
            let sip = (&plan.sip.digest, plan.sip.follow_redirects, plan.sip.session_expires);
            format!(
                "{sip:?} {:?} {:?} {:?} {:?} {:?}",
                plan.sip.timers, plan.media, plan.limits, plan.registrar, plan.local
            ) + &format!("{:?} {:?}", plan.services, plan.emergency.numbers)
        };
        assert_eq!(policy(&commented), policy(&plain));
    }
}

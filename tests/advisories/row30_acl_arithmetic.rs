//! CVE-2010-1224: prefixes of every length, /0 among them.

use ringfort::config::plan::Cidr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[test]
fn row30_every_prefix_of_ipv4() {
    let network = 0xc633_6455u32;
    for prefix in 0..=32u8 {
        let cidr = Cidr {
            network: IpAddr::V4(Ipv4Addr::from(network)),
            prefix,
        };
        assert!(cidr.contains(Ipv4Addr::from(network).into()), "/{prefix}");
        for bit in 0..32u8 {
            // A bit within the prefix matters, one behind it does not.
            let other = network ^ (1 << (31 - bit));
            assert_eq!(
                cidr.contains(Ipv4Addr::from(other).into()),
                bit >= prefix,
                "/{prefix}, bit {bit}"
            );
            let mapped = Ipv4Addr::from(other).to_ipv6_mapped();
            assert_eq!(
                cidr.contains(mapped.into()),
                bit >= prefix,
                "/{prefix}, bit {bit}, mapped"
            );
        }
        assert!(
            !cidr.contains(Ipv6Addr::from(u128::from(network) << 96).into()),
            "/{prefix}: another family"
        );
    }
}

#[test]
fn row30_every_prefix_of_ipv6() {
    let network = 0x2001_0db8_1234_5678_9abc_def0_1234_5678u128;
    for prefix in 0..=128u8 {
        let cidr = Cidr {
            network: IpAddr::V6(Ipv6Addr::from(network)),
            prefix,
        };
        for bit in 0..128u8 {
            let other = network ^ (1 << (127 - bit));
            assert_eq!(
                cidr.contains(Ipv6Addr::from(other).into()),
                bit >= prefix,
                "/{prefix}, bit {bit}"
            );
        }
        assert!(
            !cidr.contains(Ipv4Addr::new(32, 1, 13, 184).into()),
            "/{prefix}: another family"
        );
    }
}

/// As the file says it: 0 to 32 and 0 to 128 are read, more is an error that names the line.
#[test]
fn row30_prefixes_in_the_file() {
    for (network, most) in [("0.0.0.0", 32u16), ("::", 128)] {
        for prefix in 0..=most + 2 {
            let text = format!(
                "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\ndomains = [\"x.example\"]\n[media]\naddress = \"127.0.0.1\"\n\
                 [[trunk]]\nname = \"t\"\ntargets = [\"udp:127.0.0.1:5080\"]\ntrusted = [\"{network}/{prefix}\"]\n"
            );
            assert_eq!(
                ringfort::config::parse(&text, std::path::Path::new("acl.toml"), None).is_ok(),
                prefix <= most,
                "{network}/{prefix}"
            );
        }
    }
}

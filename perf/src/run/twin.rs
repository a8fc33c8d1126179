//! `-3pcc`: whether a scenario has a twin, and where.

use super::Refusal;
use super::prepare::{owned, resolve};
use crate::cli::Options;
use crate::rig::Link;
use crate::scenario::{Controller, Scenario};
use std::net::SocketAddr;

/// Where twins meet when `-3pcc` gives no port; SIPp's.
const TWIN_PORT: u16 = 8888;

/// Our end of the link of third-party call control.
#[derive(Clone, Copy, Debug)]
pub struct Twin {
    /// Which end.
    pub controller: Controller,
    /// Where controller B listens.
    pub address: SocketAddr,
}

impl Twin {
    /// Connects, or listens.
    /// # Errors
    /// Nobody listens, or the port cannot be had.
    pub fn open(self) -> Result<Link, Refusal> {
        let Self { controller, address } = self;
        Link::open(controller, address).map_err(|error| match controller {
            Controller::A => Refusal::error(format!(
                "-3pcc {address}: no twin listens there ({error}): start controller B first, whose first command is <recvCmd>"
            )),
            Controller::B => Refusal::bind(format!("-3pcc {address} cannot be listened at: {error}")),
        })
    }
}

/// `-3pcc` and a scenario with commands need each other.
pub(super) fn twin(options: &Options, scenario: &Scenario) -> Result<Option<Twin>, Refusal> {
    match (&options.third_party, scenario.controller) {
        (None, None) => Ok(None),
        (Some(text), Some(controller)) => {
            let address = resolve(text, TWIN_PORT)?;
            owned(options, address)?;
            Ok(Some(Twin { controller, address }))
        }
        (None, Some(_)) => Err(Refusal::error(format!(
            "scenario {} has <sendCmd> or <recvCmd>: say with -3pcc HOST:PORT where its twin is",
            scenario.name
        ))),
        (Some(_), None) => Err(Refusal::error(format!(
            "-3pcc: scenario {} has neither <sendCmd> nor <recvCmd>, so it needs no twin",
            scenario.name
        ))),
    }
}

#!/usr/bin/env python3
"""SIPp's built-in uac against its uas through a route in B2BUA mode: 0 failed calls."""

import lib
import through

lib.run("sipp_b2bua", through.body("b2bua", "relay"), through.OPTIONS)

#!/usr/bin/env python3
"""SIPp's built-in uac against its uas through a route in proxy mode: 0 failed calls."""

import lib
import through

lib.run("sipp_proxy", through.body("proxy", "direct"), through.OPTIONS)

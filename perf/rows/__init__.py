"""Rows of the side-by-side table: each module measures one kind of work on the peer and on Ringfort."""

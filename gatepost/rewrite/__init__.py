"""Address rewriting to standard form, address classes, and the choice of transport and nexthop (trivial-rewrite(8))."""

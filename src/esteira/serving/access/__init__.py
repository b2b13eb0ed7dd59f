"""Who may ask what of a gateway: keys, roles, and the guard before every handler."""

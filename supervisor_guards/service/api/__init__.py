"""The endpoints of the wire protocol, one module a resource."""

"""Where the parts are joined: services, processes, supervision."""

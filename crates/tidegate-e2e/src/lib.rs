//! The harness of the tests over sockets: starts the real binary, a mock provider, nginx and SDK clients, and looks at what each saw.

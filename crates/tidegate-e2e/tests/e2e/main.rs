//! Tidegate's behaviour over real sockets, with real servers and real SDKs. A file for each behaviour, in the order of a stream's life.

#[macro_use]
mod backends;

mod control;

mod client_http;
mod config;
mod keys;
mod limits;

mod after_output;
mod before_output;
mod delivery;
mod keepalive;
mod provider_http;
mod relay;

mod breakers;
mod outage;
mod recovery;
mod routes;
mod waits;

mod forward_proxy;
mod upstream;

mod background;
mod deadline;
mod degrade;
mod restart;

mod ws_conformance;
mod ws_handshake;

mod disconnect;
mod drain;
mod receipt;
mod slow_client;

mod ledger;
mod operation;
mod second_look;
mod secrets;
mod spend;
mod streams_command;
mod tasks_command;

mod deployment;
mod proxy;
mod sdk;
mod session_clients;

mod sessions;

mod faults;

mod chaos;

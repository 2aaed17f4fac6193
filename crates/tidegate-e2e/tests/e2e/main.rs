//! Tidegate's behaviour over real sockets, with real servers and real SDKs. A file for each behaviour.

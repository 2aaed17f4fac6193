use crate::{Config, Sources, needs_restart};

fn config(toml: &str) -> Config {
    Config::load(&Sources::of_text(toml)).unwrap_or_else(|errors| panic!("{errors}")).config
}

#[test]
fn only_the_address_the_threads_and_the_ledger_need_a_restart() {
    let old = config("");
    let recovery = "[retry]\nattempts = 1\n[breaker]\nfailures = 1\n[deadline]\noverhead = \"1s\"\n[notify]\nretention = \"1h\"\n[prices.a]\ninput = 1\noutput = 1\n";
    assert!(needs_restart(&old, &config(recovery)).is_empty());
    let live = "[server]\nkeepalive = \"1s\"\nmax_streams = 1\n[log]\nlevel = \"debug\"\n[profiles.mid]\nidle = \"1s\"\n";
    assert!(needs_restart(&old, &config(live)).is_empty());
    let fixed = "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 1\n[ledger]\npath = \"x\"\nretention = \"1d\"\n";
    assert_eq!(needs_restart(&old, &config(fixed)), ["server.listen", "server.workers", "ledger.path", "ledger.retention"]);
}

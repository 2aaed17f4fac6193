use crate::{Config, Sources, needs_restart};

fn config(toml: &str) -> Config {
    Config::load(&Sources::of_text(toml)).unwrap_or_else(|errors| panic!("{errors}")).config
}

#[test]
fn only_the_address_the_threads_the_ledger_and_the_queue_itself_need_a_restart() {
    let old = config("");
    let recovery = "[retry]\nattempts = 1\n[breaker]\nfailures = 1\n[deadline]\noverhead = \"1s\"\n[notify]\nretention = \"1h\"\n[prices.a]\ninput = 1\noutput = 1\n";
    assert!(needs_restart(&old, &config(recovery)).is_empty());
    let live = "[server]\nkeepalive = \"1s\"\nmax_streams = 1\n[log]\nlevel = \"debug\"\n[profiles.mid]\nidle = \"1s\"\n";
    assert!(needs_restart(&old, &config(live)).is_empty());
    let sessions = "[queue]\nmax_queue_size = 1\npolicy = \"defer\"\n[sessions]\nheartbeat = \"5s\"\nmax_sessions = 1\n";
    assert!(needs_restart(&old, &config(sessions)).is_empty());
    let queue = "[queue]\nglobal_max_size = 99\nlease = \"5s\"\nmin_workers = 1\nmax_workers = 2\n";
    assert_eq!(needs_restart(&old, &config(queue)), ["queue.global_max_size", "queue.lease", "queue.min_workers", "queue.max_workers"]);
    let fixed = "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 1\n[ledger]\npath = \"x\"\nretention = \"1d\"\n";
    assert_eq!(needs_restart(&old, &config(fixed)), ["server.listen", "server.workers", "ledger.path", "ledger.retention"]);
}

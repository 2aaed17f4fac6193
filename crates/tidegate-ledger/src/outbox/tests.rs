use super::*;
use crate::testing::{Folder, eventually};

const LATER: u64 = 3_600_000;

fn message(id: &str, host: &str) -> Message {
    Message {
        id: id.to_owned(),
        host: host.to_owned(),
        url: format!("https://{host}/hook"),
        body: "{}".to_owned(),
        expires_unix_ms: unix_millis() + LATER,
        attempts: 0,
    }
}

fn outbox(folder: &Folder) -> Outbox {
    Outbox::open(folder.ledger(), DEFAULT_CAPACITY).expect("it opens")
}

async fn due_id(outbox: &Outbox, busy: &[&str]) -> Option<String> {
    let busy = busy.iter().map(|&host| host.to_owned()).collect();
    outbox.due(unix_millis(), busy).await.expect("it reads").map(|message| message.id)
}

#[tokio::test]
async fn a_message_waits_until_it_is_forgotten_also_over_a_restart() {
    let folder = Folder::new();
    let first = outbox(&folder);
    first.add(message("msg_1", "a.example")).await.expect("it is added");
    drop(first);
    let second = outbox(&folder);
    let found = second.due(unix_millis(), Vec::new()).await.expect("it reads").expect("it waits");
    assert_eq!(found, Message { expires_unix_ms: found.expires_unix_ms, ..message("msg_1", "a.example") });
    second.forget("msg_1".to_owned()).await.expect("it is forgotten");
    assert_eq!(due_id(&second, &[]).await, None);
}

#[tokio::test]
async fn a_failed_message_is_due_again_at_its_time_and_knows_its_attempts() {
    let folder = Folder::new();
    let outbox = outbox(&folder);
    outbox.add(message("msg_1", "a.example")).await.expect("it is added");
    let next_try = unix_millis() + 5_000;
    outbox.failed("msg_1".to_owned(), 3, next_try).await.expect("it is noted");
    assert_eq!(outbox.due(next_try - 1, Vec::new()).await.expect("it reads"), None);
    assert_eq!(outbox.next_due(unix_millis(), Vec::new()).await.expect("it reads"), Some(next_try));
    let found = outbox.due(next_try, Vec::new()).await.expect("it reads").expect("it is due");
    assert_eq!(found.attempts, 3);
}

#[tokio::test]
async fn messages_come_by_the_time_they_are_due_and_those_of_busy_hosts_wait() {
    let folder = Folder::new();
    let outbox = outbox(&folder);
    for (nth, (id, host)) in (1..).zip([("msg_1", "a.example"), ("msg_2", "a.example"), ("msg_3", "b.example")]) {
        outbox.add(message(id, host)).await.expect("it is added");
        outbox.failed(id.to_owned(), 1, nth).await.expect("it is noted");
    }
    assert_eq!(due_id(&outbox, &[]).await.as_deref(), Some("msg_1"));
    assert_eq!(due_id(&outbox, &["a.example"]).await.as_deref(), Some("msg_3"));
    assert_eq!(due_id(&outbox, &["a.example", "b.example"]).await, None);
    let busy = |host: &str| vec![host.to_owned()];
    assert_eq!(outbox.next_due(unix_millis(), busy("a.example")).await.expect("it reads"), Some(3));
    assert_eq!(outbox.next_due(unix_millis(), Vec::new()).await.expect("it reads"), Some(1));
}

#[tokio::test]
async fn a_full_outbox_refuses_and_adding_the_same_message_again_changes_nothing() {
    let folder = Folder::new();
    let outbox = Outbox::open(folder.ledger(), 2).expect("it opens");
    for id in ["msg_1", "msg_2", "msg_1", "msg_2"] {
        outbox.add(message(id, "a.example")).await.expect("it is added, or waits already");
    }
    let error = outbox.add(message("msg_3", "a.example")).await.expect_err("two wait");
    assert!(matches!(error, OutboxError::Full(2)), "{error}");
    outbox.forget("msg_1".to_owned()).await.expect("it is forgotten");
    outbox.add(message("msg_3", "a.example")).await.expect("there is room");
}

#[tokio::test]
async fn an_expired_message_is_never_due_and_the_running_gateway_deletes_it() {
    let folder = Folder::new();
    let outbox = Outbox::open(folder.ledger(), 1).expect("it opens");
    outbox.add(Message { expires_unix_ms: unix_millis(), ..message("msg_1", "a.example") }).await.expect("it is added");
    assert_eq!(due_id(&outbox, &[]).await, None);
    assert_eq!(outbox.next_due(unix_millis(), Vec::new()).await.expect("it reads"), None);
    let ledger = folder.open();
    eventually("its room is free", async || outbox.add(message("msg_2", "a.example")).await.ok()).await;
    drop(ledger);
}

#[test]
fn choosing_the_next_message_reads_one_index_in_order() {
    let folder = Folder::new();
    let conn = crate::store::open(&folder.ledger(), crate::Durability::Process).expect("it opens");
    let plan = |sql: &str| -> String {
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is SQL");
        let steps = explain.query_map(params![1, "[]"], |row| row.get::<_, String>("detail")).expect("a plan");
        steps.map(|step| step.expect("a step") + "\n").collect()
    };
    for sql in [DUE, NEXT_DUE] {
        let plan = plan(sql);
        assert!(plan.contains("outbox_by_time") && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

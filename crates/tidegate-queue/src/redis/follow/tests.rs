use super::*;

#[tokio::test]
async fn of_two_that_take_a_session_over_at_once_the_later_one_has_it_whichever_hears_so_first() {
    let (follows, session, ttl) = (Follows::default(), SessionId::new(0, 0), Duration::from_secs(60));
    let owner = || follows.held(None).into_iter().map(|held| held.owner.to_string()).collect::<Vec<_>>();
    let mut later = follows.add(session, "later".into(), ttl, (1, 2));
    let mut earlier = follows.add(session, "earlier".into(), ttl, (1, 1));
    assert_eq!(earlier.next().await, Err(QueueError::Fenced));
    assert_eq!(owner(), ["later"]);
    let _last = follows.add(session, "last".into(), ttl, (1, 3));
    assert_eq!(later.next().await, Err(QueueError::Fenced));
    assert_eq!(owner(), ["last"]);
}

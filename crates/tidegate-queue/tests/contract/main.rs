//! What every backend of the queue has to hold, shown against a real server that the tests start, kill, freeze and start again.
//!
//! Leases are short here, and where a test waits, it waits for something to happen; the few pauses say why they are there.

mod chaos;
#[cfg(feature = "kafka")]
mod kafka;
mod leases;
#[cfg(feature = "kafka")]
mod only_kafka;
mod only_redis;
mod outages;
mod process;
mod redis;
mod sessions;
mod support;
mod tasks;
mod window;

/// The contract, one sentence each. A backend is a type that starts its server ([`support::Server`]).
macro_rules! contract {
    ($backend:ident: $server:ty, $($topic:ident on $start:ident: $($promise:ident)*;)*) => {
        mod $backend {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn another_process_does_what_a_test_asks_it_to() {
                crate::process::obey::<$server>().await;
            }

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    crate::$topic::$promise(<$server as crate::support::Server>::$start()).await;
                }
            )*)*
        }
    };
}

macro_rules! contract_of {
    ($backend:ident: $server:ty) => {
        contract! { $backend: $server,
            tasks on start:
                a_task_reaches_a_worker_and_its_answer_comes_back_in_order
                a_task_waits_for_the_first_worker_that_comes
                tasks_of_many_sessions_run_side_by_side_each_once
                a_session_runs_one_task_at_a_time_and_takes_the_same_one_twice
                the_depth_tells_what_waits_and_what_runs
                a_waiting_task_is_cancelled_at_once_and_no_worker_gets_it
                a_running_task_is_told_to_stop_and_ends_as_its_worker_says
                cancelling_what_is_over_changes_nothing
                settling_twice_is_one_end;
            leases on start:
                a_lease_is_kept_for_as_long_as_it_is_held
                a_lease_that_is_dropped_before_output_runs_again_at_once
                a_lease_that_is_dropped_after_output_ends_the_task_as_lost
                a_worker_that_is_killed_before_output_is_replaced
                a_worker_that_is_killed_after_output_is_not_replaced
                a_worker_that_was_frozen_finds_everything_refused
                a_task_that_takes_every_worker_with_it_is_given_up
                a_cancelled_task_whose_worker_is_killed_ends_as_cancelled
                whoever_stops_waiting_for_a_lease_takes_no_task_along;
            sessions on start:
                an_heir_reads_everything_in_the_order_in_which_its_predecessor_saw_it
                nobody_but_its_holder_adopts_a_session_and_who_tries_disturbs_nobody
                an_heir_of_a_killed_gateway_reads_on_where_the_running_task_is
                a_gateway_that_was_frozen_finds_its_session_anothers
                whoever_was_replaced_finds_everything_refused
                a_snapshot_replaces_what_was_read_and_written_before_it
                what_is_large_arrives_whole
                a_session_that_was_ended_is_gone_and_its_worker_stops
                a_session_that_nobody_owns_is_forgotten
                a_session_that_is_owned_is_not_forgotten
                a_session_that_was_never_created_cannot_be_adopted
                an_owner_that_does_not_read_delays_nobody_and_misses_nothing;
            window on start:
                a_worker_may_say_as_much_anew_as_the_client_took
                what_is_only_read_is_not_taken
                a_worker_that_waits_keeps_its_task_and_may_end_it
                what_one_task_said_leaves_the_next_no_room_until_it_is_taken
                a_worker_whose_session_nobody_owns_waits_for_an_heirs_client;
            window on start_apart:
                what_was_taken_during_an_outage_is_known_after_it;
            outages on start_apart:
                without_its_server_everything_fails_in_time_and_recovers
                a_server_that_does_not_answer_is_noticed_in_time
                a_server_that_is_killed_and_started_again_has_lost_nothing
                a_running_task_goes_on_after_a_restart_with_each_piece_once
                a_journal_in_doubt_is_settled_by_a_snapshot
                an_owner_is_told_of_an_outage_that_lasts_and_reads_on_afterwards
                workers_wait_on_through_a_restart;
            chaos on start_apart:
                every_task_ends_once_and_in_order_while_workers_die
                every_task_ends_once_while_the_server_dies_too;
        }
    };
}

contract_of! { on_redis: crate::redis::Redis }
#[cfg(feature = "kafka")]
contract_of! { on_kafka: crate::kafka::Kafka }

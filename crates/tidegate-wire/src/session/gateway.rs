//! What the gateway says.

use tidegate_core::session::{Ack, Body, Complete, Message, Notice, Problem};

use super::object::Object;
use crate::names::session as names;

/// Appends `message` as the payload of a text frame.
///
/// It writes nothing but `message`, in one pass and without memory of its own: a caller that keeps `out` allocates nothing for a token.
pub fn write(message: &Message, out: &mut Vec<u8>) {
    match message {
        Message::Session { session, resumed, expires_in } => {
            let mut object = Object::begin(out, names::TYPE, names::SESSION);
            object.id(names::SESSION_ID, session).flag(names::RESUMED, *resumed).millis(names::EXPIRES_IN_MS, *expires_in);
            object.end();
        }
        Message::Pong => Object::begin(out, names::TYPE, names::PONG).end(),
        Message::Refused(problem) => {
            let mut object = Object::begin(out, names::TYPE, names::ERROR);
            write_problem(problem, &mut object);
            object.end();
        }
        Message::Numbered { seq, body } => write_numbered(*seq, body, out),
    }
}

fn write_numbered(seq: u64, body: &Body, out: &mut Vec<u8>) {
    let mut object = Object::begin(out, names::TYPE, name(body));
    match body {
        Body::Token { task, data } => {
            object.id(names::TASK_ID, task).number(names::SEQ, seq).text(names::DATA, data);
            return object.end();
        }
        Body::Ack(Ack { task, queue_depth, session, id }) => {
            object.id(names::TASK_ID, task).number(names::QUEUE_DEPTH, queue_depth).id(names::SESSION_ID, session);
            object.maybe_text(names::ID, id.as_deref());
        }
        Body::RateLimited { queue_depth, retry_after, id } => {
            object.number(names::QUEUE_DEPTH, queue_depth).millis(names::RETRY_AFTER_MS, *retry_after);
            object.maybe_text(names::ID, id.as_deref());
        }
        Body::Dropped { task, reason } => {
            object.id(names::TASK_ID, task).text(names::REASON, reason.name());
        }
        Body::Notice(notice) => write_notice(notice, &mut object),
        Body::Complete(complete) => {
            let Complete { task, usage, stream } = &**complete;
            object.id(names::TASK_ID, task).json(names::USAGE, usage).id(names::STREAM_ID, stream);
        }
        Body::Error(problem) => write_problem(problem, &mut object),
    }
    object.number(names::SEQ, seq);
    object.end();
}

fn name(body: &Body) -> &'static str {
    match body {
        Body::Ack(_) => names::ACK,
        Body::RateLimited { .. } => names::RATE_LIMITED,
        Body::Dropped { .. } => names::DROPPED,
        Body::Notice(_) => names::NOTICE,
        Body::Token { .. } => names::TOKEN,
        Body::Complete(_) => names::COMPLETE,
        Body::Error(_) => names::ERROR,
    }
}

fn write_notice(notice: &Notice, object: &mut Object<'_>) {
    let Notice { task, message, position, eta, tool_calls } = notice;
    object.id(names::TASK_ID, task).text(names::MESSAGE, message);
    if let Some(position) = position {
        object.number(names::QUEUE_POSITION, position);
    }
    if let Some(eta) = eta {
        object.millis(names::ETA_MS, *eta);
    }
    if let Some(calls) = tool_calls {
        object.raw(names::TOOL_CALLS, calls);
    }
}

fn write_problem(problem: &Problem, object: &mut Object<'_>) {
    let Problem { task, id, code, message, partial, retry_after, stream } = problem;
    if let Some(task) = task {
        object.id(names::TASK_ID, task);
    }
    object.text(names::CODE, code.name()).text(names::MESSAGE, message.as_deref().unwrap_or(code.text()));
    object.flag(names::PARTIAL, *partial).flag(names::RETRYABLE, code.client_may_retry());
    if let Some(retry_after) = retry_after {
        object.millis(names::RETRY_AFTER_MS, *retry_after);
    }
    if let Some(stream) = stream {
        object.id(names::STREAM_ID, stream);
    }
    object.maybe_text(names::ID, id.as_deref());
}

#[cfg(test)]
mod tests;

//! What the topics are called and how they are made.

/// The topics of one queue. All processes that share the queue name the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// What their names begin with. Default `tidegate`.
    pub prefix: String,
    /// How many partitions each gets where it is created: as many workers can have tasks. Default 32. It never changes while sessions live,
    /// because a session's partition follows from it; existing topics keep the number that they have.
    pub partitions: u16,
}

impl Default for Topics {
    fn default() -> Self {
        Self { prefix: "tidegate".to_owned(), partitions: 32 }
    }
}

/// One of them.
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) settings: &'static [(&'static str, &'static str)],
}

/// Sixteen mebibytes in a record, and the broker's clock: leases run out by it.
const RECORDS: [(&str, &str); 2] = [("max.message.bytes", "16777216"), ("message.timestamp.type", "LogAppendTime")];

/// The last pointer of each session; what nobody has renewed for a week is a session that nobody will look for. A process that starts reads
/// all of it, so what was replaced is thrown away soon: every ten minutes, or sixteen mebibytes.
const POINTERS: [(&str, &str); 6] = [
    ("cleanup.policy", "compact,delete"),
    ("retention.ms", "604800000"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.2"),
    ("message.timestamp.type", "LogAppendTime"),
];

impl Topics {
    pub(super) fn tasks(&self) -> String {
        format!("{}.tasks", self.prefix)
    }

    pub(super) fn log(&self) -> String {
        format!("{}.log", self.prefix)
    }

    pub(super) fn sessions(&self) -> String {
        format!("{}.sessions", self.prefix)
    }

    /// The group of all workers.
    pub(super) fn workers(&self) -> String {
        format!("{}.workers", self.prefix)
    }

    /// librdkafka wants a group's name of every reader, also of one that never joins.
    pub(super) fn readers(&self) -> String {
        format!("{}.readers", self.prefix)
    }

    pub(super) fn all(&self) -> [Topic; 3] {
        [
            Topic { name: self.tasks(), settings: &RECORDS },
            Topic { name: self.log(), settings: &RECORDS },
            Topic { name: self.sessions(), settings: &POINTERS },
        ]
    }
}

-- Times are nanoseconds since 1970 in UTC. `aged` is the store's own clock when the record was written last: records
-- grow old by that one, and the oldest is the one whose `aged` is least.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE hits (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    time_start INTEGER NOT NULL,
    time_end INTEGER NOT NULL,
    block TEXT NOT NULL,
    standard TEXT NOT NULL,
    activity TEXT NOT NULL,
    confidence REAL NOT NULL,
    kept INTEGER NOT NULL DEFAULT 0,
    kept_why TEXT,
    kept_time INTEGER,
    stored INTEGER NOT NULL,
    aged INTEGER NOT NULL,
    run INTEGER NOT NULL,
    json TEXT NOT NULL
);
CREATE INDEX hits_time ON hits (time_start, id);
CREATE INDEX hits_aged ON hits (kept, aged, number);
CREATE INDEX hits_open ON hits (run) WHERE state <> 'closed';

-- `level`: 2 for the first of a quarter of an hour, 1 for the first of a minute, else 0.
CREATE TABLE health (
    number INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    level INTEGER NOT NULL,
    aged INTEGER NOT NULL,
    json TEXT NOT NULL
);
CREATE INDEX health_time ON health (time, number);
CREATE INDEX health_level ON health (level, aged, number);

CREATE TABLE gaps (
    number INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    aged INTEGER NOT NULL,
    json TEXT NOT NULL
);
CREATE INDEX gaps_time ON gaps (time, number);
CREATE INDEX gaps_aged ON gaps (aged, number);

CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    aged INTEGER NOT NULL,
    level TEXT NOT NULL,
    sensor TEXT,
    text TEXT NOT NULL
);
CREATE INDEX events_time ON events (time, number);
CREATE INDEX events_aged ON events (aged, number);

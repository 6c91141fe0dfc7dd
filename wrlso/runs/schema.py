"""The tables of the query log."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS queries (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    "index" INTEGER NOT NULL,      -- position within the round
    latent BLOB NOT NULL,          -- little-endian float32
    object BLOB NOT NULL,          -- the model's storage form, raw bytes
    score REAL,                    -- NULL unless status is OK
    status TEXT NOT NULL,          -- OK, INVALID, FAILED, TIMEOUT, DUPLICATE, REFUSED, PENDING
    reason TEXT,                   -- why it failed or was refused
    text TEXT,                     -- the object as a line of text, where it has one
    PRIMARY KEY (seed, round, "index")
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS components (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    "index" INTEGER NOT NULL,      -- these three name the query
    place INTEGER NOT NULL,        -- of the component in its objective
    name TEXT NOT NULL,
    value REAL,                    -- as measured
    desirability REAL,             -- what the objective made of it
    PRIMARY KEY (seed, round, "index", place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rounds (
    seed INTEGER NOT NULL,
    round INTEGER NOT NULL,
    steps INTEGER NOT NULL,        -- training steps of the retraining
    loss REAL,                     -- mean over those steps, nats per object
    effective_rows REAL,           -- effective sample size of the weights
    diverged INTEGER NOT NULL,     -- 1 if training was not finite and was undone
    uncharged INTEGER NOT NULL,    -- objective evaluations beyond the budget
    refused INTEGER NOT NULL,      -- points passed over as the task does not accept them
    fit_r2 REAL,                   -- surrogate on held-out base data: coefficient of determination
    fit_spearman REAL,             -- the same: rank correlation
    PRIMARY KEY (seed, round)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timings (
    phase TEXT NOT NULL,           -- compile, retrain, ask, score, tell, ...
    round INTEGER NOT NULL,        -- -1 outside any round
    seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS results (
    number INTEGER PRIMARY KEY,    -- in the order in which people told them
    time TEXT NOT NULL,            -- UTC
    seed INTEGER,                  -- NULL: measured elsewhere, not asked for
    round INTEGER,
    "index" INTEGER,
    object BLOB NOT NULL,          -- the model's storage form, raw bytes
    text TEXT,
    score REAL,                    -- NULL for a failure
    reason TEXT,                   -- why it failed
    source TEXT                    -- such as a file's name
);
"""

TABLES = ("queries", "components", "rounds", "timings")
"""The tables that a run fills by itself; ``results`` has what people told."""

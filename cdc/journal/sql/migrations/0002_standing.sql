-- What a channel does, for people: the recorder tells it with every position.
ALTER TABLE store.channels ADD COLUMN heard_at TIMESTAMP;   -- wall clock of the last thing it said
ALTER TABLE store.channels ADD COLUMN standing VARCHAR;     -- opening, live, retrying, limited, stopped, off
ALTER TABLE store.channels ADD COLUMN trouble VARCHAR;      -- the sentence of what is wrong, or empty

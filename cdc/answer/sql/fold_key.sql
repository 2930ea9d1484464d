-- One number to compare by: place in the order, then rank at that place, then the item's own ordinal.
-- Ranks: 0 event, 1 an event that could not be read, 2 full state, 3 ABSENT, 5 lost events, 6 and 7 full state
-- and ABSENT read after lost events that begin at the same place. An ABSENT has the ordinal of whatever was
-- recorded last before its scan was judged: only with its rank and record it is one row.
CREATE OR REPLACE MACRO answer.fold_key(place, rank, seq) AS
    place::HUGEINT * 1000000000000000000 + rank * 100000000000000000 + seq;

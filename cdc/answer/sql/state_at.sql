-- The public macros over states.sql: at a time, and exactly before a change.
CREATE OR REPLACE MACRO main.state_at(of_entity, at_time) AS TABLE
SELECT * EXCLUDE (unknown_fields) FROM answer.states(of_entity, NULL::VARCHAR, NULL::VARCHAR, at_time::TIMESTAMP, answer.no_cut());

-- The same exactly before a change: cut is its ordinal (`seq`), also in the middle of a second.
CREATE OR REPLACE MACRO main.state_before(of_entity, before_seq) AS TABLE
SELECT * EXCLUDE (unknown_fields) FROM answer.states(of_entity, NULL::VARCHAR, NULL::VARCHAR, 'infinity'::TIMESTAMP, before_seq::BIGINT);

-- promotions: which model was promoted when, one row per change, per run in order.
--
-- Columns
--   run, round    after this round the model was the promoted one
--   step          position within the run, from 1 on; the last one is in force
--   model_id      the model
--   cause         'base' (round 0), 'gate', or by hand 'promote', 'rollback'
--   decided_by, reason, decided_at
--                 of a decision by hand; null otherwise
--
-- A round's own model comes before what was decided after the round.
CREATE VIEW promotions AS
WITH changes AS (
    SELECT
        run, round, 0 AS number, id AS model_id,
        CASE status WHEN 'base' THEN 'base' ELSE 'gate' END AS cause,
        NULL::VARCHAR AS decided_by, NULL::VARCHAR AS reason, NULL::VARCHAR AS decided_at
    FROM models
    WHERE status IN ('base', 'promoted')
    UNION ALL
    SELECT run, round, number, model_id, action, decided_by, reason, decided_at
    FROM decisions
)
SELECT
    run,
    round,
    (row_number() OVER (PARTITION BY run ORDER BY round, number, model_id))::INTEGER AS step,
    model_id,
    cause,
    decided_by,
    reason,
    decided_at
FROM changes
ORDER BY run, step;

COMMENT ON VIEW promotions IS
    'Which model was promoted when: by the gate or by hand; the last one of a run is in force.';
COMMENT ON COLUMN promotions.run IS 'The run.';
COMMENT ON COLUMN promotions.round IS 'After this round the model was the promoted one.';
COMMENT ON COLUMN promotions.step IS 'Position within the run, from 1 on.';
COMMENT ON COLUMN promotions.model_id IS 'The model.';
COMMENT ON COLUMN promotions.cause IS 'base, gate, or by hand: promote, rollback.';
COMMENT ON COLUMN promotions.decided_by IS 'Who decided by hand, else null.';
COMMENT ON COLUMN promotions.reason IS 'Why it was decided by hand, else null.';
COMMENT ON COLUMN promotions.decided_at IS 'When it was decided by hand, else null.';

-- rounds_overview: one row per run and round, also for a round that is under way.
--
-- Columns
--   run, round                partition keys
--   recipe, gate_verdict, gate_reasons, monitor_findings, parent_model_id, child_model_id
--                             from rounds; null until the round has ended
--   prompts, samples, executions, accepted, votes, examples, pairs, labels, rejections
--                             rows; samples and executions without those of evaluation, accepted:
--                             executions with the verdict 'accepted'
--   parent_accuracy, child_accuracy
--                             'pass@1 greedy' over all difficulties, pooled over suites by their
--                             number of problems; the newest measurement in the run. Suites with
--                             the split 'skills', which only must not get worse, are left out
CREATE VIEW rounds_overview AS
WITH judged AS (
    SELECT run, round, verdict
    FROM executions
    WHERE (run, round, sample_id) NOT IN (
        SELECT (run, round, id) FROM samples WHERE purpose = 'evaluate'
    )
),
counted AS (
    SELECT run, round, 'prompts' AS stage, count(*) AS n FROM prompts GROUP BY ALL
    UNION ALL
    SELECT run, round, 'samples', count(*) FROM samples WHERE purpose <> 'evaluate' GROUP BY ALL
    UNION ALL
    SELECT run, round, 'executions', count(*) FROM judged GROUP BY ALL
    UNION ALL
    SELECT run, round, 'accepted', count(*) FROM judged WHERE verdict = 'accepted' GROUP BY ALL
    UNION ALL
    SELECT run, round, 'votes', count(*) FROM votes GROUP BY ALL
    UNION ALL
    SELECT run, round, 'examples', count(*) FROM examples GROUP BY ALL
    UNION ALL
    SELECT run, round, 'pairs', count(*) FROM pairs GROUP BY ALL
    UNION ALL
    SELECT run, round, 'labels', count(*) FROM labels GROUP BY ALL
    UNION ALL
    SELECT run, round, 'rejections', count(*) FROM rejections GROUP BY ALL
    UNION ALL
    SELECT run, round, 'rounds', count(*) FROM rounds GROUP BY ALL
),
stages AS (
    SELECT
        run,
        round,
        coalesce(sum(n) FILTER (WHERE stage = 'prompts'), 0)::BIGINT AS prompts,
        coalesce(sum(n) FILTER (WHERE stage = 'samples'), 0)::BIGINT AS samples,
        coalesce(sum(n) FILTER (WHERE stage = 'executions'), 0)::BIGINT AS executions,
        coalesce(sum(n) FILTER (WHERE stage = 'accepted'), 0)::BIGINT AS accepted,
        coalesce(sum(n) FILTER (WHERE stage = 'votes'), 0)::BIGINT AS votes,
        coalesce(sum(n) FILTER (WHERE stage = 'examples'), 0)::BIGINT AS examples,
        coalesce(sum(n) FILTER (WHERE stage = 'pairs'), 0)::BIGINT AS pairs,
        coalesce(sum(n) FILTER (WHERE stage = 'labels'), 0)::BIGINT AS labels,
        coalesce(sum(n) FILTER (WHERE stage = 'rejections'), 0)::BIGINT AS rejections
    FROM counted
    GROUP BY run, round
),
newest AS (
    SELECT run, model_id, value, n
    FROM evaluations
    WHERE metric = 'pass@1 greedy' AND difficulty IS NULL AND split <> 'skills'
    QUALIFY row_number() OVER (
        PARTITION BY run, model_id, suite, split ORDER BY round DESC, id
    ) = 1
),
accuracy AS (
    SELECT run, model_id, sum(value * n) / nullif(sum(n), 0) AS value FROM newest GROUP BY ALL
)
SELECT
    stages.run,
    stages.round,
    rounds.recipe,
    rounds.gate_verdict,
    rounds.gate_reasons,
    rounds.monitor_findings,
    rounds.parent_model_id,
    rounds.child_model_id,
    stages.* EXCLUDE (run, round),
    parent.value AS parent_accuracy,
    child.value AS child_accuracy
FROM stages
LEFT JOIN rounds ON rounds.run = stages.run AND rounds.round = stages.round
LEFT JOIN accuracy AS parent
    ON parent.run = rounds.run AND parent.model_id = rounds.parent_model_id
LEFT JOIN accuracy AS child
    ON child.run = rounds.run AND child.model_id = rounds.child_model_id
ORDER BY stages.run, stages.round;

COMMENT ON VIEW rounds_overview IS
    'One row per run and round: rows per stage, accuracy before and after, the gate.';
COMMENT ON COLUMN rounds_overview.run IS 'The run.';
COMMENT ON COLUMN rounds_overview.round IS 'Its round, also one that is under way.';
COMMENT ON COLUMN rounds_overview.recipe IS 'Recipe of the round; null until it has ended.';
COMMENT ON COLUMN rounds_overview.gate_verdict IS 'What the gate decided about the child.';
COMMENT ON COLUMN rounds_overview.gate_reasons IS 'Its reasons.';
COMMENT ON COLUMN rounds_overview.monitor_findings IS 'What the monitors saw.';
COMMENT ON COLUMN rounds_overview.parent_model_id IS 'Model that the round started with.';
COMMENT ON COLUMN rounds_overview.child_model_id IS 'Model that it trained, if any.';
COMMENT ON COLUMN rounds_overview.prompts IS 'Prompts.';
COMMENT ON COLUMN rounds_overview.samples IS 'Samples, those of evaluation left out.';
COMMENT ON COLUMN rounds_overview.executions IS 'Program runs, those of evaluation left out.';
COMMENT ON COLUMN rounds_overview.accepted IS 'Program runs with the verdict accepted.';
COMMENT ON COLUMN rounds_overview.votes IS 'Candidate answers.';
COMMENT ON COLUMN rounds_overview.examples IS 'Rows of supervised fine-tuning.';
COMMENT ON COLUMN rounds_overview.pairs IS 'Preference pairs.';
COMMENT ON COLUMN rounds_overview.labels IS 'Completions labeled good or bad.';
COMMENT ON COLUMN rounds_overview.rejections IS 'Rows that filters dropped.';
COMMENT ON COLUMN rounds_overview.parent_accuracy IS
    'Greedy pass@1 of the parent over all suites, its newest measurement, 0 to 1.';
COMMENT ON COLUMN rounds_overview.child_accuracy IS
    'Greedy pass@1 of the child over all suites, its newest measurement, 0 to 1.';

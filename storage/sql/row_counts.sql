-- row_counts: what became of every sample that could have been learned from, per run and round.
--
-- The identity: samples = selected + rejected, and no sample is both. It holds in every finished
-- round; `balanced` says whether it does.
--
-- Columns
--   run, round             partition keys
--   samples                rows of samples with purpose 'train' or 'imported' that are answers or
--                          programs; critiques, judgements and the like are not selected from
--   selected               of these, distinct ones that examples, pairs or labels of the same round
--                          name in sample_ids, chosen_sample_id or rejected_sample_id
--   rejected               of these, distinct ones that rejections of the same round name
--   selected_and_rejected  of these, distinct ones in both
--   unaccounted            of these, distinct ones in neither; above 0 while a round is under way
--   balanced               samples = selected + rejected, and none in both
CREATE VIEW row_counts AS
WITH used AS (
    SELECT DISTINCT run, round, sample_id
    FROM (
        SELECT run, round, unnest(sample_ids) AS sample_id FROM examples
        UNION ALL
        SELECT run, round, unnest(sample_ids) FROM labels
        UNION ALL
        SELECT run, round, unnest(sample_ids || [chosen_sample_id, rejected_sample_id]) FROM pairs
    )
),
dropped AS (
    SELECT DISTINCT run, round, row_id AS sample_id FROM rejections WHERE row_table = 'samples'
),
-- A repeated sample id makes count(*) larger than the distinct counts, and the round unbalanced.
counted AS (
    SELECT
        run,
        round,
        count(*) AS samples,
        count(DISTINCT used.sample_id) AS selected,
        count(DISTINCT dropped.sample_id) AS rejected,
        count(DISTINCT used.sample_id) FILTER (WHERE dropped.sample_id IS NOT NULL)
            AS selected_and_rejected,
        count(DISTINCT own.sample_id)
            FILTER (WHERE used.sample_id IS NULL AND dropped.sample_id IS NULL) AS unaccounted
    FROM (
        SELECT run, round, id AS sample_id FROM samples
        WHERE purpose IN ('train', 'imported') AND role IN ('answer', 'program')
    ) AS own
    LEFT JOIN used USING (run, round, sample_id)
    LEFT JOIN dropped USING (run, round, sample_id)
    GROUP BY run, round
)
SELECT
    *,
    samples = selected + rejected AND selected_and_rejected = 0 AS balanced
FROM counted
ORDER BY run, round;

COMMENT ON VIEW row_counts IS
    'Per run and round: samples = selected + rejected, as a checked identity.';
COMMENT ON COLUMN row_counts.run IS 'The run.';
COMMENT ON COLUMN row_counts.round IS 'Its round.';
COMMENT ON COLUMN row_counts.samples IS 'Samples that could become training rows.';
COMMENT ON COLUMN row_counts.selected IS 'Of these, distinct ones in training rows of the round.';
COMMENT ON COLUMN row_counts.rejected IS 'Of these, distinct ones in rejections of the round.';
COMMENT ON COLUMN row_counts.selected_and_rejected IS
    'Of these, distinct ones in both; never above 0.';
COMMENT ON COLUMN row_counts.unaccounted IS
    'Of these, distinct ones in neither; above 0 while a round is under way.';
COMMENT ON COLUMN row_counts.balanced IS 'Whether samples = selected + rejected, and none is both.';

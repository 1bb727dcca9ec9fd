-- How far a judge can be believed: its statistics over a round, overall and by difficulty.
--
-- Measures (n: what each is counted over)
--   num_judgements       judgements, of any status
--   num_pairs            pairs that were shown in both orders
--   error_share          judgements that the engine failed on
--   unparseable_share    judgements that nothing could be read from, of those without an error
--   mean_score           mean of the scores
--   score_entropy        entropy of the scores or choices in nats; 0 where it always says the same
--   top_score_share      share of the most frequent score or choice
--   score_spread         mean over samples of the standard deviation of their scores
--   first_share          of A or B, share of A: 0.5 where the order does not matter
--   swap_consistency     pairs whose two orders agree, of those with both
--   tie_share            ties, of the pairs with both orders
--   reference_agreement  of pairs of a right and a wrong answer to a problem, share in which the
--                        right one has the higher mean score, or wins; equal counts half
-- The last one reads reference scores, for monitoring only. A measure without anything to count is
-- left out. Pairs are counted once.
-- Reads scores, samples, prompts. Columns: level ('all' or a difficulty), measure, value, n
-- Parameters:
SET VARIABLE run = 'demo';         -- VARCHAR: the run
SET VARIABLE round = 1;            -- INTEGER: its round
SET VARIABLE judge = 'judge';      -- VARCHAR: name of the judge
SET VARIABLE judged_by = 'judge';  -- VARCHAR: check of the single judgements

WITH own AS (
    SELECT * FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
),
levels AS (
    SELECT
        s.id AS sample_id,
        s.prompt_id,
        unnest(list_distinct(list_filter(['all', p.difficulty::VARCHAR], lambda x: x IS NOT NULL)))
            AS level
    FROM samples AS s
    LEFT JOIN prompts AS p ON p.run = s.run AND p.round = s.round AND p.id = s.prompt_id
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
),
judgements AS (
    SELECT l.level, o.sample_id, o.status, o.value, o.label
    FROM own AS o JOIN levels AS l USING (sample_id)
    WHERE o."check" = getvariable('judged_by')
),
frequencies AS (
    SELECT level, label, count(*) AS n, sum(count(*)) OVER (PARTITION BY level) AS total
    FROM judgements WHERE label IS NOT NULL
    GROUP BY level, label
),
means AS (
    SELECT l.level, l.prompt_id, o.sample_id, avg(o.value) AS value,
           stddev_pop(o.value) AS spread, count(*) AS num
    FROM own AS o JOIN levels AS l USING (sample_id)
    WHERE o."check" = getvariable('judged_by') AND o.value IS NOT NULL
    GROUP BY ALL
),
marks AS (
    SELECT sample_id, max(value) >= 1 AS is_right
    FROM own
    WHERE "check" = 'reference' AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
met AS (
    SELECT l.level, o.sample_id, json_extract_string(o.detail, '$.other') AS other, o.label, o.value
    FROM own AS o JOIN levels AS l USING (sample_id)
    WHERE o."check" = getvariable('judge') AND getvariable('judge') <> getvariable('judged_by')
      AND o.label IS NOT NULL
),
compared AS (
    SELECT r.level, CASE WHEN r.value > w.value THEN 1.0 WHEN r.value = w.value THEN 0.5 ELSE 0 END
        AS agrees
    FROM means AS r
    JOIN means AS w ON w.level = r.level AND w.prompt_id = r.prompt_id
    JOIN marks AS mr ON mr.sample_id = r.sample_id AND mr.is_right
    JOIN marks AS mw ON mw.sample_id = w.sample_id AND NOT mw.is_right
    UNION ALL
    SELECT m.level, CASE WHEN m.value > 0.5 THEN 1.0 WHEN m.value = 0.5 THEN 0.5 ELSE 0 END
    FROM met AS m
    JOIN marks AS mr ON mr.sample_id = m.sample_id AND mr.is_right
    JOIN marks AS mw ON mw.sample_id = m.other AND NOT mw.is_right
    WHERE m.value IS NOT NULL
),
measured AS (
    SELECT level, 'error_share' AS measure, avg((status = 'error')::INTEGER) AS value, count(*) AS n
    FROM judgements GROUP BY level
    UNION ALL
    SELECT level, 'num_judgements', count(*), count(*) FROM judgements GROUP BY level
    UNION ALL
    SELECT level, 'num_pairs', count(*) / 2, count(*) / 2 FROM met GROUP BY level
    UNION ALL
    SELECT level, 'unparseable_share', avg((value IS NULL AND label IS NULL)::INTEGER), count(*)
    FROM judgements WHERE status = 'ok' GROUP BY level
    UNION ALL
    SELECT level, 'mean_score', list_avg(list(value ORDER BY value)), count(*)
    FROM judgements WHERE value IS NOT NULL GROUP BY level
    UNION ALL
    SELECT level, 'score_entropy', -list_sum(list((n / total) * ln(n / total) ORDER BY n)), sum(n)
    FROM frequencies GROUP BY level
    UNION ALL
    SELECT level, 'top_score_share', max(n / total), sum(n) FROM frequencies GROUP BY level
    UNION ALL
    SELECT level, 'score_spread', list_avg(list(spread ORDER BY spread)), count(*)
    FROM means WHERE num > 1 GROUP BY level
    UNION ALL
    SELECT level, 'first_share', avg((label = 'A')::INTEGER), count(*)
    FROM judgements WHERE value IS NULL AND label IN ('A', 'B') GROUP BY level
    UNION ALL
    SELECT level, 'swap_consistency', avg((label <> 'inconsistent')::INTEGER), count(*) / 2
    FROM met GROUP BY level
    UNION ALL
    SELECT level, 'tie_share', avg((label = 'tie')::INTEGER), count(*) / 2 FROM met GROUP BY level
    UNION ALL
    SELECT level, 'reference_agreement', list_avg(list(agrees ORDER BY agrees)), count(*)
    FROM compared GROUP BY level
)
SELECT level, measure, value::DOUBLE AS value, n::BIGINT AS n
FROM measured
ORDER BY level = 'all' DESC, level, measure;

-- The problems that fewer than min_right samples of the round answer right, each with its gold
-- answer; for recipes that need labels. Answers that were asked for again (turn above max_turn) don't
-- count.
-- Variables: min_right (1 where it is null), max_turn (0 where it is null).
-- Columns: prompt_id, messages, context (all of them but the last), problem, difficulty, reference,
-- num_right
WITH right_ones AS (
    SELECT s.prompt_id, count(*) FILTER (r.value >= 1) AS num_right
    FROM samples AS s
    LEFT JOIN scores AS r
        ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
        AND r."check" = 'reference' AND r.status = 'ok'
    WHERE s.run = getvariable('run') AND s.round = getvariable('round') AND s.purpose = 'train'
      AND s.role IN ('answer', 'program') AND s.status = 'ok'
      AND s.turn <= coalesce(getvariable('max_turn'), 0)
    GROUP BY s.prompt_id
)
SELECT
    p.id AS prompt_id,
    p.messages,
    p.messages[1:len(p.messages) - 1] AS context,
    p.messages[-1].content AS problem,
    p.difficulty,
    p.reference,
    o.num_right
FROM prompts AS p
JOIN right_ones AS o ON o.prompt_id = p.id
WHERE p.run = getvariable('run') AND p.round = getvariable('round')
  AND p.reference IS NOT NULL AND o.num_right < coalesce(getvariable('min_right'), 1)

-- What a model's held-out samples show, to compare models before and after an update: one row.
--
-- Columns: num_problems (with drawn samples), greedy_accuracy, sample_accuracy,
-- any_correct_share (pass@n), label_accuracy (of majority answers), reward_accuracy (share of
-- samples that a vote for the majority would reward rightly), generation_verification_gap (label
-- less sample accuracy), distinct_answers_per_prompt, vote_entropy (nats). Ties of the vote go to
-- the first answer in text order.
-- Parameters:
SET VARIABLE run = 'demo';         -- VARCHAR: the run
SET VARIABLE model = 'demo-base';  -- VARCHAR: id of a model that it evaluated

WITH
problems AS (
    SELECT DISTINCT id FROM prompts
    WHERE run = getvariable('run') AND split = 'heldout' AND suite IS NULL
),
drawn AS (
    SELECT s.id, s.prompt_id, a.label AS answer, r.value >= 1 AS correct,
           coalesce(TRY_CAST(json_extract_string(s.sampling, '$.temperature') AS DOUBLE) = 0, FALSE)
               AS is_greedy
    FROM samples AS s
    JOIN problems ON problems.id = s.prompt_id
    JOIN scores AS a ON a.run = s.run AND a.sample_id = s.id AND a."check" = 'answer'
        AND a.status = 'ok'
    JOIN scores AS r ON r.run = s.run AND r.sample_id = s.id AND r."check" = 'reference'
        AND r.status = 'ok'
    WHERE s.run = getvariable('run') AND s.policy_id = getvariable('model')
      AND s.purpose = 'evaluate' AND s.status = 'ok'
),
counted AS (
    SELECT prompt_id, answer, count(*) AS num, bool_or(correct) AS correct
    FROM drawn WHERE NOT is_greedy AND answer IS NOT NULL GROUP BY ALL
),
leaders AS (
    SELECT prompt_id, answer, correct FROM counted
    QUALIFY row_number() OVER (PARTITION BY prompt_id ORDER BY num DESC, answer) = 1
),
entropies AS (
    SELECT prompt_id, count(*) AS num_distinct,
           -sum(share * ln(share)) AS entropy
    FROM (
        SELECT prompt_id,
               num / sum(num) OVER (PARTITION BY prompt_id)::DOUBLE AS share
        FROM counted
    ) GROUP BY prompt_id
),
per_problem AS (
    SELECT d.prompt_id, avg(d.correct::INT) AS accuracy, bool_or(d.correct) AS any_correct,
           avg(((d.answer IS NOT DISTINCT FROM l.answer) = d.correct)::INT) AS rewarded,
           any_value(coalesce(l.correct, FALSE)) AS label_correct
    FROM drawn AS d LEFT JOIN leaders AS l USING (prompt_id)
    WHERE NOT d.is_greedy
    GROUP BY d.prompt_id
),
greedy AS (
    SELECT avg(correct::INT) AS accuracy FROM drawn WHERE is_greedy
)
SELECT
    count(*) AS num_problems,
    (SELECT accuracy FROM greedy) AS greedy_accuracy,
    avg(p.accuracy) AS sample_accuracy,
    avg(p.any_correct::INT) AS any_correct_share,
    avg(p.label_correct::INT) AS label_accuracy,
    avg(p.rewarded) AS reward_accuracy,
    label_accuracy - sample_accuracy AS generation_verification_gap,
    avg(coalesce(e.num_distinct, 0)) AS distinct_answers_per_prompt,
    avg(e.entropy) AS vote_entropy
FROM per_problem AS p
LEFT JOIN entropies AS e USING (prompt_id);

-- pass_rate_migration(run, a, b): how many prompts went from which pass rate to which, between
-- two rounds of a run.
--
--   SELECT * FROM pass_rate_migration('my-run', 1, 2);
--
-- The pass rate of a prompt in a round is the share of its samples that are right by the reference
-- check; a sample without an answer is wrong, one whose check failed does not count. Rounds as a
-- rule draw other problems for training, but are evaluated on the same ones: there, the samples of
-- round n are those of the model that round n trained.
--
-- Columns
--   purpose   'evaluate', 'train' or 'imported'
--   before    band in round a: '0', 'up to 1/4', 'up to 1/2', 'up to 3/4', 'below 1', '1', or
--             'not asked'
--   after     band in round b
--   prompts   number of prompts
--   change    mean change of their pass rate; null where they were asked in one round only
CREATE MACRO pass_rate_migration(of_run, round_a, round_b) AS TABLE
WITH rates AS (
    SELECT
        purpose,
        prompt_id,
        avg(is_right::INTEGER) FILTER (WHERE round = round_a) AS rate_a,
        avg(is_right::INTEGER) FILTER (WHERE round = round_b) AS rate_b
    FROM answers
    WHERE run = of_run AND round IN (round_a, round_b)
    GROUP BY purpose, prompt_id
),
banded AS (
    SELECT
        purpose,
        rate_b - rate_a AS change,
        list_transform([rate_a, rate_b], lambda rate: CASE
            WHEN rate IS NULL THEN 7
            WHEN rate = 0 THEN 1
            WHEN rate <= 0.25 THEN 2
            WHEN rate <= 0.5 THEN 3
            WHEN rate <= 0.75 THEN 4
            WHEN rate < 1 THEN 5
            ELSE 6
        END) AS bands
    FROM rates
    WHERE rate_a IS NOT NULL OR rate_b IS NOT NULL
),
names AS (
    SELECT ['0', 'up to 1/4', 'up to 1/2', 'up to 3/4', 'below 1', '1', 'not asked'] AS words
)
SELECT
    purpose,
    words[bands[1]] AS before,
    words[bands[2]] AS after,
    count(*) AS prompts,
    avg(change) AS change
FROM banded, names
GROUP BY purpose, bands, words
ORDER BY purpose, bands;

COMMENT ON MACRO TABLE pass_rate_migration IS
    'How many prompts went from which pass rate to which: pass_rate_migration(''<run>'', 1, 2)';

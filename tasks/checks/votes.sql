-- Majority votes: every answer of every prompt with its count, share and rank; losers are kept.
--
-- A sample votes for its canonical answer (`scores`, check 'answer'). Samples for training or
-- imported ones vote; samples of an evaluation don't. A sample in which no answer was found votes
-- for nothing but counts in num_samples, so share = count / num_samples is V(a)/k of ScPO
-- (arXiv 2411.04109) and the shares of a prompt add up to less than 1 where answers are missing.
-- A sample that failed by our fault (status 'error') and one whose answer was never looked for
-- don't count at all: an outage is not a vote.
-- An empty answer is none.
-- Ties: equal weights are ranked by the answer's text, ascending by code point.
--
-- Reads samples, scores. Gives the columns of `votes`, by prompt_id and rank.
-- The id is storage's content_id('vote', run, round, prompt_id, answer) for ASCII answers.
-- Parameters (edit and run the whole file by hand; votes.py sets its own values):
SET VARIABLE run = 'demo';    -- VARCHAR: the run
SET VARIABLE round = 1;       -- INTEGER: its round

WITH voters AS (
    SELECT s.prompt_id, nullif(a.label, '') AS answer
    FROM samples AS s
    JOIN scores AS a ON a.sample_id = s.id
    WHERE s.run = getvariable('run') AND s.round = getvariable('round')
      AND a.run = getvariable('run') AND a.round = getvariable('round')
      AND s.purpose IN ('train', 'imported') AND s.role IN ('answer', 'program')
      AND s.status = 'ok' AND a."check" = 'answer' AND a.status = 'ok'
),
counted AS (
    SELECT prompt_id, answer, count(*) AS count
    FROM voters
    GROUP BY prompt_id, answer
),
shared AS (
    SELECT
        prompt_id,
        answer,
        count,
        sum(count) OVER (PARTITION BY prompt_id) AS num_samples
    FROM counted
)
SELECT
    'vote-' || left(sha256(json_array(
        'vote', getvariable('run'), getvariable('round'), prompt_id, answer
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    prompt_id,
    answer,
    count::INTEGER AS count,
    count::DOUBLE AS weight,
    count::DOUBLE / num_samples::DOUBLE AS share,
    (row_number() OVER (
        PARTITION BY prompt_id ORDER BY count DESC, answer
    ))::INTEGER AS rank,
    num_samples::INTEGER AS num_samples
FROM shared
WHERE answer IS NOT NULL
ORDER BY prompt_id, rank;

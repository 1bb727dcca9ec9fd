-- disagreements: prompts whose most voted answer is not the reference answer.
--
-- The reference check of a voter decides whether its answer is right, so that answers which are
-- equal in other words count as equal. Prompts without a reference are left out.
CREATE VIEW disagreements AS
WITH judged AS (
    SELECT run, round, prompt_id, answer, bool_or(is_right) AS is_right
    FROM answers
    WHERE purpose <> 'evaluate' AND answer IS NOT NULL
    GROUP BY ALL
),
ballots AS (
    SELECT
        votes.run,
        votes.round,
        votes.prompt_id,
        max(answer) FILTER (WHERE rank = 1) AS voted,
        max("count") FILTER (WHERE rank = 1) AS voted_count,
        max(share) FILTER (WHERE rank = 1) AS voted_share,
        count(*) FILTER (WHERE rank = 2 AND weight = top_weight) > 0 AS is_tied,
        bool_or(is_right) FILTER (WHERE rank = 1) AS is_right,
        coalesce(sum("count") FILTER (WHERE is_right), 0)::BIGINT AS right_count,
        min(rank) FILTER (WHERE is_right) AS right_rank,
        max(num_samples) AS num_samples
    FROM (
        SELECT *, max(weight) OVER (PARTITION BY run, round, prompt_id) AS top_weight FROM votes
    ) AS votes
    LEFT JOIN judged USING (run, round, prompt_id, answer)
    GROUP BY ALL
),
asked AS (
    SELECT
        run,
        id AS prompt_id,
        any_value(messages)[-1].content AS problem,
        any_value(reference) AS reference
    FROM prompts
    GROUP BY ALL
)
SELECT
    ballots.run,
    ballots.round,
    ballots.prompt_id,
    asked.problem,
    asked.reference,
    ballots.voted,
    ballots.voted_count,
    ballots.voted_share,
    ballots.is_tied,
    ballots.right_count,
    ballots.right_rank,
    ballots.num_samples
FROM ballots
LEFT JOIN asked USING (run, prompt_id)
WHERE NOT ballots.is_right
ORDER BY ballots.run, ballots.round, ballots.voted_share DESC, ballots.prompt_id;

COMMENT ON VIEW disagreements IS
    'Prompts whose most voted answer is not the reference answer, the most confident ones first.';
COMMENT ON COLUMN disagreements.run IS 'Run of the vote.';
COMMENT ON COLUMN disagreements.round IS 'Its round.';
COMMENT ON COLUMN disagreements.prompt_id IS 'The prompt.';
COMMENT ON COLUMN disagreements.problem IS 'Content of its last message.';
COMMENT ON COLUMN disagreements.reference IS 'Its reference answer.';
COMMENT ON COLUMN disagreements.voted IS 'The most voted answer.';
COMMENT ON COLUMN disagreements.voted_count IS 'Samples that gave it.';
COMMENT ON COLUMN disagreements.voted_share IS 'Their share of num_samples.';
COMMENT ON COLUMN disagreements.is_tied IS 'Whether another answer has as much weight.';
COMMENT ON COLUMN disagreements.right_count IS 'Samples whose answer is right.';
COMMENT ON COLUMN disagreements.right_rank IS 'Rank of the right answer; null where none is.';
COMMENT ON COLUMN disagreements.num_samples IS
    'Samples of the prompt, with and without an answer.';

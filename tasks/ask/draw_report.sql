-- What a draw rule saved: samples drawn and left out, groups ended early and extended.
--
-- A group is all samples about the same prompt and parents. planned is what every group would have
-- cost without the rule: the most samples that it allows. The tokens of samples that were not drawn
-- are estimated by the mean of their own group.
-- Reads samples.
-- Columns: num_groups, num_drawn, num_saved, num_stopped, num_extended, tokens_drawn, tokens_saved
-- Parameters:
SET VARIABLE run = 'demo';      -- VARCHAR: the run
SET VARIABLE round = 1;         -- INTEGER: its round
SET VARIABLE role = 'answer';   -- VARCHAR: role of the samples
SET VARIABLE turn = 0;          -- INTEGER in [0, inf]: their turn
SET VARIABLE purpose = 'train'; -- VARCHAR in {train, evaluate}: what they were drawn for
SET VARIABLE n = 8;             -- INTEGER in [1, inf]: samples of a group that is not extended
SET VARIABLE n_max = 8;         -- INTEGER in [1, inf]: most samples of a group

WITH groups AS (
    SELECT count(*) AS drawn, sum(num_tokens) AS tokens
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND role = getvariable('role') AND turn = getvariable('turn')
      AND purpose = getvariable('purpose')
    GROUP BY prompt_id, parent_ids
)
SELECT
    count(*)::INTEGER AS num_groups,
    coalesce(sum(drawn), 0)::INTEGER AS num_drawn,
    coalesce(sum(getvariable('n_max') - drawn), 0)::INTEGER AS num_saved,
    count(*) FILTER (drawn < getvariable('n'))::INTEGER AS num_stopped,
    count(*) FILTER (drawn > getvariable('n'))::INTEGER AS num_extended,
    coalesce(sum(tokens), 0)::BIGINT AS tokens_drawn,
    round(coalesce(sum((getvariable('n_max') - drawn) * tokens / drawn), 0))::BIGINT AS tokens_saved
FROM groups;

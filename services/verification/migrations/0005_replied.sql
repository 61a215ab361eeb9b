-- A person has written about a notice by mail, and somebody has to read it.

alter table assessment
    drop constraint assessment_review_check,
    -- Holds for every row already: the former check was narrower.
    add constraint assessment_review_check check (review in ('disputed', 'soft_404', 'no_contact', 'onion', 'reappeared_changed', 'replied')) not valid;

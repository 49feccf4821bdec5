# Times glmer, coxph, lmer and glmmTMB on the trials that bench/src/one-stage.ts wrote; prints JSON.
# Arguments: file of doubles, rows of a trial, trials.
suppressPackageStartupMessages({library(survival); library(lme4); library(glmmTMB); library(jsonlite)})
a <- commandArgs(TRUE); n <- as.integer(a[2]); k <- as.integer(a[3])
con <- file(a[1], "rb")
names <- c("treatment", "age", "sex", "sbp", "bmi", "smoker", "diabetes", "continuous", "binary", "count", "overdispersed", "time", "event")
d <- do.call(rbind, lapply(seq_len(k), function(i) cbind(study = i, as.data.frame(setNames(lapply(names, function(x) readBin(con, "double", n)), names)))))
close(con); d$study <- factor(d$study)
timed <- function(f, coefficient) { gc(); s <- system.time(m <- f())[["elapsed"]]; list(seconds = s, estimate = coefficient(m)[["treatment"]]) }
x <- "treatment + age + sex + sbp + bmi + smoker + diabetes"
mixed <- function(y) as.formula(paste(y, "~", x, "+ (1 + treatment | study)"))
tmb <- function(m) glmmTMB::fixef(m)$cond
out <- list(
  coxph = timed(function() coxph(as.formula(paste("Surv(time, event) ~", x, "+ strata(study)")), d, ties = "efron"), coef),
  lmer = timed(function() lmer(mixed("continuous"), d), lme4::fixef),
  poisson = timed(function() glmmTMB(mixed("count"), d, family = poisson), tmb),
  nbinom = timed(function() glmmTMB(mixed("overdispersed"), d, family = nbinom2), tmb),
  glmer = timed(function() glmer(mixed("binary"), d, binomial, nAGQ = 1), lme4::fixef))
cat(toJSON(out, digits = NA, auto_unbox = TRUE))

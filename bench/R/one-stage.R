# Times glmer, coxph, lmer and glmmTMB on the trials that bench/src/one-stage.ts wrote; prints JSON.
# Arguments: file of doubles, rows of a trial, trials, names of the fits to time (comma-separated).
suppressPackageStartupMessages({library(survival); library(lme4); library(glmmTMB); library(jsonlite)})
a <- commandArgs(TRUE); n <- as.integer(a[2]); k <- as.integer(a[3])
con <- file(a[1], "rb")
names <- c("treatment", "age", "sex", "sbp", "bmi", "smoker", "diabetes", "continuous", "binary", "count", "overdispersed", "time", "event")
d <- do.call(rbind, lapply(seq_len(k), function(i) cbind(study = i, as.data.frame(setNames(lapply(names, function(x) readBin(con, "double", n)), names)))))
close(con); d$study <- factor(d$study)
wanted <- strsplit(a[4], ",")[[1]]
timed <- function(name, f, coefficient) { if (!name %in% wanted) return(NULL)
  gc(); s <- system.time(m <- f())[["elapsed"]]; message(name, ": ", round(s, 1), " s"); list(seconds = s, estimate = coefficient(m)[["treatment"]]) }
x <- "treatment + age + sex + sbp + bmi + smoker + diabetes"
mixed <- function(y) as.formula(paste(y, "~", x, "+ (1 + treatment | study)"))
tmb <- function(m) glmmTMB::fixef(m)$cond
out <- list(
  coxph = timed("coxph", function() coxph(as.formula(paste("Surv(time, event) ~", x, "+ strata(study)")), d, ties = "efron"), coef),
  lmer = timed("lmer", function() lmer(mixed("continuous"), d), lme4::fixef),
  poisson = timed("poisson", function() glmmTMB(mixed("count"), d, family = poisson), tmb),
  nbinom = timed("nbinom", function() glmmTMB(mixed("overdispersed"), d, family = nbinom2), tmb),
  glmer = timed("glmer", function() glmer(mixed("binary"), d, binomial, nAGQ = 1), lme4::fixef))
cat(toJSON(Filter(Negate(is.null), out), digits = NA, auto_unbox = TRUE))

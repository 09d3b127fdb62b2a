/* faults.h - a reload's answer in words: whose errors they are, and what they mean */
#ifndef FAULTS_H
#define FAULTS_H

#include "def.h"

#include <stdbool.h>

struct api_reloaded;
struct run;
struct target;

/*
 * Add the server's errors and warnings to the run's messages, told apart into those of keys that stalprep stages or has
 * staged (plan or snapshot) and those that stood before. As a failure: errors are errors, else they are warnings.
 */
void faults_say(struct run *r, const struct target *t, const struct api_reloaded *answer, bool failure);

#endif

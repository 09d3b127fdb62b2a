#include "base/when.h"

#include <stdio.h>

enum { DAY = 86400, ERA_DAYS = 146097, ERA_YEARS = 400, DAYS_TO_1970 = 719468 };

/*
 * The proleptic Gregorian calendar, counted in years that begin in March, so that the leap day
 * comes last.
 */
void
when_format(char *out, int64_t seconds)
{
	int64_t days, era, of_era, year, of_year, month, rest;

	if (seconds < -62167219200 || seconds > 253402300799) {
		snprintf(out, WHEN_MAX, "?");
		return;
	}
	rest = seconds % DAY < 0 ? seconds % DAY + DAY : seconds % DAY;
	days = (seconds - rest) / DAY + DAYS_TO_1970;
	era = (days >= 0 ? days : days - ERA_DAYS + 1) / ERA_DAYS;
	of_era = days - era * ERA_DAYS;
	year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	of_year = of_era - (365 * year + year / 4 - year / 100);
	month = (5 * of_year + 2) / 153;
	snprintf(out, WHEN_MAX, "%04d-%02d-%02dT%02d:%02d:%02dZ",
	    (int)(year + era * ERA_YEARS + (month >= 10)),
	    (int)(month < 10 ? month + 3 : month - 9), (int)(of_year - (153 * month + 2) / 5 + 1),
	    (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
}

/* Everything of the contract that is stable. Drafts are included one by one from ext/draft/. */
#ifndef HALFTONE_HALFTONE_H
#define HALFTONE_HALFTONE_H

#include <halftone/abi.h>
#include <halftone/format.h>
#include <halftone/json.h>
#include <halftone/matrix.h>
#include <halftone/model.h>
#include <halftone/plugin.h>
#include <halftone/services.h>
#include <halftone/value.h>

#endif

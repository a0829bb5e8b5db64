/* Ends the process when it is opened: nothing but a layer of its own may do that. */
#include <unistd.h>

#define FIXTURE_ID "acme.ends"
#define FIXTURE_LABEL "acme.ends"
#include "tests/fixtures/plugins/sound.h"

__attribute__((constructor)) static void end(void) {
    _exit(77);
}

"""Phrases of consent walls and paywalls in seven languages, as RE2 patterns; none that articles about cookies need."""

PHRASES = (
    # What consent managers write in all of them: "we and our 842 partners store information on a device"
    r"(we and our|nosotros y nuestros|nós e os nossos|nous et nos|wir und unsere|noi e i nostri|wij en onze) [^.\n]{0,25}"
    r"(partner|socios|parceiros|partenaires|fornitori|leveranciers)[^.\n]{0,40} (store|use|process|access|almacen|usa|utili|"
    r"armazen|stock|verwend|nutzen|speicher|archivi|trattia|slaan|gebruik)",
    # English and Dutch
    r"(we|our partners|this (web)?site|nous|wij|we) (and our partners )?(use|uses|utilisons|gebruiken) (des )?cookies",
    r"(accept|reject|allow|decline) (all|only necessary|non-essential)( cookies)?",
    r"(manage|change|update) (your |my )?(cookie|consent|privacy) (settings|preferences|choices)",
    r"your (privacy|cookie) (choices|settings|preferences)",
    r"(store|access)[a-z /]{0,20} information on (a|your) device",
    r"before you continue( to)?|(withdraw|change|manage) your consent|legitimate interest",
    r"cookies (are|that are) (needed|required|necessary|essential|strictly)|personali[sz]ed (ads|advertising)",
    r"by (clicking|continuing|using)[^.\n]{0,60}you (agree|consent|accept)",
    r"(subscribe|sign in|log in|register)( now| today)? to (continue|keep|read|unlock)",
    r"(this|the full) (article|story|content) is (only )?(for|available to|reserved for) (subscribers|members)",
    r"(you have|you've) (reached|read|used)[^.\n]{0,40}(free|limit)[^.\n]{0,20}articles?",
    r"already a (subscriber|member)\?",
    r"(please )?(enable|turn on) (javascript|cookies)",
    r"(disable|turn off|whitelist)[^.\n]{0,20}ad ?blocker",
    r"to continue reading,? (please )?(subscribe|sign|log|register)|you don't have permission to access|are you a robot\?",
    r"(verify|checking|confirm)[^.\n]{0,20}(you are|you're|your)[^.\n]{0,10}(human|browser|not a robot)",
    r"(alles|alle cookies|cookies) (accepteren|weigeren|toestaan)|accepteer (alle )?cookies|alleen noodzakelijk",
    r"(uw|je) (toestemming|keuze)[^.\n]{0,20}(intrekken|wijzigen)|welke cookies (u|je)|gerechtvaardigd belang",
    r"accepteert geen cookies|zet javascript aan|(stemt|stem)[^.\n]{0,10} in met[^.\n]{0,20} cookies|voordat (u|je) verder",
    r"(geef|geeft|gaat u|ga je|u geeft) [^.\n]{0,30}(toestemming|akkoord) [^.\n]{0,40}(cookies|gegevens|partners)",
    r"(cookie|privacy)-?(instellingen|voorkeuren)( aanpassen| beheren| wijzigen)?",
    r"(onze partners|wij|we) (en onze partners )?(plaatsen|gebruiken) (\w+ )?cookies",
    r"(word|neem|sluit)[^.\n]{0,20}(abonnee|abonnement)[^.\n]{0,30}(verder|lezen)|verder lezen\?",
    r"(al|reeds) (abonnee|lid)\?|log in om (verder )?te lezen|alleen (voor|toegankelijk voor) abonnees",
    # German
    r"(alle )?cookies (akzeptieren|ablehnen|zulassen|annehmen)|alles? (akzeptieren|ablehnen|zulassen)|"
    r"(nur|exklusiv) für [\w+-]{0,12}abonnenten",
    r"(wir|partner|(web)?seite|website)[^.\n]{0,40} (verwenden|nutzen|verwendet|nutzt|setzen|"
    r"setzt)[^.\n]{0,30} cookies|verwendung von cookies zu",
    r"akzeptieren und (weiter|schließen)|nur (notwendige|essenzielle|erforderliche)( cookies)?|zwecke anzeigen",
    r"(cookie|datenschutz|privatsphäre)-?\s?(einstellungen|präferenzen)( verwalten| anpassen| ändern)?|"
    r"einstellungen (verwalten|anpassen)",
    r"informationen auf (einem|ihrem) (gerät|endgerät)|berechtigte[sn]? interesse|personalisierte (werbung|anzeigen)",
    r"(einwilligung|zustimmung)[^.\n]{0,40} (widerrufen|ändern)|(stimmen|willigen) sie[^.\n]{0,60} (zu|ein)\b",
    r"(abonnieren|anmelden|registrieren|abo|abonnement)[^.\n]{0,40} weiter(zu)?lesen|bereits abonnent|"
    r"mit werbung (weiter)?lesen|pur-abo|haben (bereits|schon) ein abo\b",
    # French
    r"tout (accepter|refuser)|(accepter|refuser) (tous )?les cookies|(accepter|refuser) (et|tout|tous)|"
    r"continuer sans accepter",
    r"(nous|partenaires|ce site)[^.\n]{0,40} (utilis|dépos|stock)(ons|ent|e)[^.\n]{0,30} (cookies|traceurs)",
    r"(paramétrer|gérer|personnaliser) (les |mes |vos )?(cookies|préférences|choix|options|consentements?)",
    r"informations (sur|stockées sur) (un|votre) (terminal|appareil)|intérêts? légitimes?|publicités? personnalisée?s?",
    r"(retirer|modifier|donner) (votre |à tout moment )*(consentement|choix)|en (poursuivant|"
    r"continuant) (votre|à|la)[^.\n]{0,40}(navig|accept)",
    r"(abonnez-vous|connectez-vous|inscrivez-vous)[^.\n]{0,40} (continuer|lire|poursuivre|accéder)|"
    r"réservée? (à nos|aux) abonnés|déjà abonnée?",
    # Spanish
    r"(utilizamos|usamos|empleamos|utiliza|usa|utilizan) [^.\n]{0,30}cookies|(solo|exclusivo) para suscriptores",
    r"(acept|rechaz|permit)(ar|o|a|ir) (todas? )?(las )?(cookies|todo|todas|y continuar|y cerrar)|"
    r"solo (las )?(cookies )?necesarias",
    r"(configurar|gestionar|administrar|configuración de) (las |mis |tus |sus )?(cookies|preferencias|opciones|"
    r"consentimiento)",
    r"información (en|de) (un|su|tu|el) dispositivo|interés legítimo|(publicidad|anuncios) personalizad[ao]s?",
    r"(retirar|cambiar|modificar|revocar|dar) (su|tu|el) (consentimiento|elección)|si (continúas|continúa|"
    r"sigue|sigues) navegando",
    r"(suscríbe|suscríba|regístre|regístra)[^.\n]{0,40} (leyendo|leer|continuar|navegando)|inicia sesión para|"
    r"¿ya (eres|es) suscriptor",
    # Portuguese
    r"(utilizamos|usamos|utiliza|usa|utilizam) [^.\n]{0,30}cookies|(exclusivo|apenas|só) para assinantes",
    r"(aceit|rejeit|recus|permit)(ar|o|e|ir) (todos )?(os )?(cookies|tudo|todos|e continuar|e fechar)|"
    r"apenas os? (cookies )?necessários",
    r"(gerir|gerenciar|configurar|personalizar|definições de|configurações de) (os |as |meus |suas )?(cookies|"
    r"preferências|opções)",
    r"informações (em|no|num|de) (um |seu |o seu )?dispositivo|interesses? legítimos?|(publicidade|"
    r"anúncios) personalizad[ao]s?",
    r"(retirar|alterar|revogar|dar) (o )?(seu )?consentimento|ao continuar (a |navegando)[^.\n]{0,40}",
    r"(assine|faça login|inicie sessão|registe-se|cadastre-se)[^.\n]{0,40} (continuar|ler|lendo)|já é assinante",
    # Italian
    r"(utilizziamo|usiamo|utilizza|usa|utilizzano) [^.\n]{0,30}cookie|(riservato agli|solo per gli) abbonati",
    r"(accett|rifiut)(a|are|o) (tutti )?(i )?(cookie|tutto|tutti|e continua|e chiudi)|continua senza accettare|"
    r"solo (i )?(cookie )?necessari",
    r"(gestisci|gestire|personalizza|impostazioni|configura)( dei| le| i| sui| delle)? (cookie|preferenze|"
    r"opzioni|consenso)",
    r"informazioni[^.\n]{0,20} (su|sul|nel) (un |tuo |suo )?dispositivo|raggiunto il limite di articoli|"
    r"(legittimo interesse|interesse legittimo)|"
    r"(pubblicità|annunci) personalizzat[ai]",
    r"(revocare|modificare|prestare|negare) (il )?(tuo |suo )?consenso|proseguendo (la navigazione|nella)[^.\n]{0,40}",
    r"(abbonati|accedi|registrati)[^.\n]{0,40} (continuare|leggere)|(sei )?già abbonat[oa]\?",
)
